"""The last word of a series on a terminal or in a log."""

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.record.trials import Series
from chaos.report import story
from chaos.report.series import sentences
from chaos.report.terminal import STYLES
from chaos.report.words import plain, share
from chaos.run_folder import SeriesFolder

_MOST_REASONS = 4


def print_series(series: Series, folder: SeriesFolder, file: TextIO | None = None) -> None:
    """Print what came of a series, short enough for a screen, to `file` or stdout."""
    console = Console(file=file, highlight=False)
    head = (f"{story.MARKS[series.verdict]} {series.verdict.upper()}: ", STYLES[series.verdict])
    console.print("", Text.assemble(head, series.sentence), "")
    for reason in series.reasons[:_MOST_REASONS]:
        console.print(Text.assemble(("because   ", "dim"), reason))
    console.print(_assertions(series), "", _figures(series))
    console.print(Text.assemble(("report    ", "dim"), str(folder.report)), soft_wrap=True)


def _assertions(series: Series) -> Table:
    grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    grid.add_column("assertion", no_wrap=True, overflow="ellipsis", max_width=40)
    for name in ("passed", "deviated", "inconclusive", "rate below"):
        grid.add_column(name, justify="right", no_wrap=True)
    for one in series.assertions:
        cells = (plain(one.passed), plain(one.deviated), plain(one.inconclusive))
        grid.add_row(Text(one.expression), *cells, share(one.deviated_rate_below))
    return grid


def _figures(series: Series) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(min_width=9, style="dim", no_wrap=True)
    grid.add_column()
    for one in series.recoveries:
        grid.add_row(one.name, Text(sentences.of_recovery(one) or "unknown in every trial"))
    unmet = next((claim for claim in series.claims if not claim.met), None)
    if unmet is not None:
        claim = f"that {share(unmet.passes_share)} of trials pass needs {unmet.needs} without a deviation"
        grid.add_row("to claim", Text(claim))
    return grid
