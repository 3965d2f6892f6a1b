"""A comparison and a trend on a terminal: the sentences first, then the figures, then what the runs were unlike in."""

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.record.comparison import Comparison, Difference, Finding
from chaos.report.series import sentences
from chaos.report.words import NOTHING, plain, seconds, share
from chaos.trials.trend import Middle, Trend

_STYLES = {
    Finding.LARGER: "bold red",
    Finding.SMALLER: "bold green",
    Finding.NONE: "",
    Finding.UNDECIDABLE: "bold yellow",
}
_MOST_CHANGES = 20


def print_comparison(comparison: Comparison, file: TextIO | None = None) -> None:
    """Print what two series differ in, to `file` or stdout."""
    console = Console(file=file, highlight=False)
    for name, side in (("A", comparison.a), ("B", comparison.b)):
        about = f"{side.passed} passed, {side.deviated} deviated, {side.inconclusive} inconclusive"
        console.print(Text(f"{name}  {side.folder}: {side.trials} trials, {about}"), soft_wrap=True)
    console.print("")
    _print_differences(console, comparison.differences)
    console.print(_figures(comparison.differences), "")
    _print_changes(console, "unlike in", comparison.changes)


def print_trend(trend: Trend, file: TextIO | None = None) -> None:
    """Print series and runs over time, the oldest first, and whether the last differs from those before."""
    console = Console(file=file, highlight=False)
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("started", "trials", "deviated", "service", "capacity", "unlike the one before"):
        grid.add_column(name)
    for point in trend.points:
        side = point.side
        cells = (side.started_at[:16], plain(side.trials), plain(side.deviated))
        unlike = "; ".join(point.changes[:2]) + (
            f" and {len(point.changes) - 2} more" if len(point.changes) > 2 else ""
        )
        grid.add_row(*map(Text, (*cells, _middle(point.service), _middle(point.capacity), unlike)))
    console.print(Text(f"{trend.experiment}, median and its 95 % interval"), grid, "", sep="\n")
    if trend.last:
        console.print("B is the last, A are all trials before it:")
        _print_differences(console, trend.last)
    else:
        console.print("one point is no trend")


def _middle(middle: Middle) -> str:
    interval = sentences.between(middle.interval_s, middle.within_s)
    return sentences.at_most(middle.median_s, middle.within_s) + (f" ({interval})" if interval else "")


def _print_differences(console: Console, differences: Sequence[Difference]) -> None:
    for one in differences:
        console.print(Text(one.sentence, style=_STYLES[one.finding]), soft_wrap=True)


def _figures(differences: Sequence[Difference]) -> Table:
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in ("", "A", "B", "B / A", "p", "p after Holm", "not recovered A, B"):
        grid.add_column(name)
    for one in differences:
        says = {"s": seconds, "share": share}.get(one.unit, plain)
        ratio = NOTHING if one.ratio is None else plain(one.ratio)
        if one.ratio_interval:
            ratio += f" ({' to '.join(map(plain, one.ratio_interval))})"
        censored = f"{one.not_recovered_a}, {one.not_recovered_b}" if one.within_s is not None else ""
        cells = (one.name, says(one.middle_a), says(one.middle_b), ratio)
        grid.add_row(*cells, f"{one.p:.2g}", f"{one.p_adjusted:.2g}", censored)
    return grid


def _print_changes(console: Console, title: str, changes: Sequence[str]) -> None:
    if not changes:
        console.print("alike in every setting, manifest and version")
    for change in changes[:_MOST_CHANGES]:
        console.print(Text.assemble((f"{title} ", "dim"), change), soft_wrap=True)
    if len(changes) > _MOST_CHANGES:
        console.print(f"and in {len(changes) - _MOST_CHANGES} more")
