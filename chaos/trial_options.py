"""The options of a series of trials, and the verbs that look at several runs: compare and trend."""

import argparse
from pathlib import Path

from chaos import options, trial_commands
from chaos.options import Verbs

_EXIT_CODES = """\
exit codes:
  0    no difference was found, or B (the last) is better
  1    B (the last) is worse
  2    a folder is not that of a series or a run
  3    with so few trials no difference can be told
"""


def add_series(run: argparse.ArgumentParser) -> None:
    """What makes a series of trials of one run."""
    add = run.add_argument
    add(
        "--trials",
        type=options.count,
        metavar="N",
        help="so many runs, each with its own victims, instant and plan",
    )
    add(
        "--shams",
        type=options.count_or_share,
        metavar="M",
        help="so many runs among them, or a share of N, in which nothing is done (default: 20%%)",
    )
    add(
        "--jitter",
        type=options.duration_or_zero,
        metavar="TIME",
        help="inject up to so much later than `at`, as a trial's seed draws (default: what the file says)",
    )


def add_compare(verbs: Verbs) -> None:
    """`aftershock compare A B`."""
    compare = verbs.add_parser(
        "compare",
        help="say whether B recovers later than A: two series of trials, of two builds or two settings",
        description="Compare two series by ranks, with the size of the difference and its interval. Touches nothing.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.add_argument(
        "a", type=Path, metavar="A", help="the folder of a series (`run --trials`), or of a run"
    )
    compare.add_argument("b", type=Path, metavar="B", help="another")
    _add_measures(compare)
    compare.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    compare.set_defaults(
        command=lambda given: trial_commands.compare(given.a, given.b, given.measure, given.json)
    )


def add_trend(verbs: Verbs) -> None:
    """`aftershock trend DIR...`."""
    trend = verbs.add_parser(
        "trend",
        help="show series and runs of one experiment over time: does the last differ from those before?",
        description="List series and runs, the oldest first, with their intervals. Touches no run.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    trend.add_argument(
        "folders", type=Path, nargs="+", metavar="DIR", help="of a series, of a run, or of several"
    )
    _add_measures(trend)
    trend.add_argument("--experiment", metavar="NAME", help="leave out the runs of any other")
    trend.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write it as pictures too, a chart per figure: opens offline",
    )
    trend.set_defaults(
        command=lambda given: trial_commands.trend(given.folders, given.experiment, given.measure, given.html)
    )


def _add_measures(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--measure",
        action="append",
        choices=trial_commands.MEASURES,
        help="compare this alone; may be repeated (default: all of them, and p-values adjusted for their number)",
    )
