"""The command line of the exporters: `python -m exporters`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from exporters.documentation import metrics_page
from exporters.metrics import GROUPS

_EXAMPLES = """\
examples:
  python -m exporters docs            write METRICS.md after a change of a declared series
  python -m exporters docs --check    exit 1 when METRICS.md is not what the declarations say
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code: 0 done, 1 the page is stale, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    return _docs(options.file, check=options.check)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m exporters",
        description="Prometheus series of LLM inference servers, declared once as data.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    docs = commands.add_parser(
        "docs",
        help="write METRICS.md from the declared series, or check it",
        description="Write METRICS.md from the declared series, or check that it is current.",
    )
    docs.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is stale")
    docs.add_argument(
        "--file", type=Path, default=Path("METRICS.md"), help="the page (default: %(default)s in this folder)"
    )
    return parser


def _docs(page: Path, *, check: bool) -> int:
    wanted = metrics_page(GROUPS)
    if not check:
        page.write_text(wanted)
        print(f"wrote {page}")
        return 0
    if page.is_file() and page.read_text() == wanted:
        return 0
    print(f"{page} is not what the declarations say\nhint: run `python -m exporters docs`", file=sys.stderr)
    return 1
