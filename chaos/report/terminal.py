"""The last word of a run on a terminal or in a log: verdict, assertions and figures within 24 lines of 80 columns.

Colour appears on terminals alone and NO_COLOR is respected: rich does both.
"""

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.record.journal import Journal
from chaos.record.verdict import Verdict
from chaos.report import cost, disturbances, story
from chaos.report.lifecycle import short_names
from chaos.report.words import count, seconds
from chaos.run_folder import RunFolder

STYLES = {Verdict.PASSED: "bold green", Verdict.DEVIATED: "bold red", Verdict.INCONCLUSIVE: "bold yellow"}
"""How rich shows a verdict."""
_URGENCY = (Verdict.DEVIATED, Verdict.INCONCLUSIVE, Verdict.PASSED)
_MOST_ASSERTIONS = 8
_MOST_REASONS = 3
_MOST_LINES = 3
_MOST_REFUSALS = 2
_LINES = 24
_NAMES = 9
"""How wide the names of the figures are."""


def print_summary(journal: Journal, folder: RunFolder, file: TextIO | None = None) -> None:
    """Print what came of a run, short enough for 80 columns and 24 lines, to `file` or stdout."""
    console = Console(file=file, highlight=False)
    head = Text.assemble(
        (f"{story.MARKS[journal.verdict]} {story.word(journal).upper()}: ", STYLES[journal.verdict]),
        story.finding(journal),
    )
    said = head.wrap(console, console.width)[:_MOST_LINES]
    assertions = _assertions(journal)
    # Three are blank, one is the table's head, one the report's path.
    room = _LINES - 5 - len(said) - assertions.row_count
    console.print("", *said, "", sep="\n")
    console.print(assertions, "", *_fitting(_figures(journal), console, room), sep="\n")
    # On one line however long: a path broken in two cannot be copied.
    console.print(Text.assemble(("report    ", "dim"), str(folder.report)), soft_wrap=True)


def _assertions(journal: Journal) -> Table:
    """What did not pass comes first: it must not be among those that do not fit."""
    ordered = sorted(journal.assertions, key=lambda one: _URGENCY.index(one.verdict))[:_MOST_ASSERTIONS]
    reasons = [story.reason(journal, one) for one in ordered]
    explained = any(reasons)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=explained)
    table.add_column("assertion", no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column("observed", justify="right", no_wrap=True)
    table.add_column("≥ 95 %", no_wrap=True, style="dim")
    table.add_column("verdict", no_wrap=True, min_width=14)
    if explained:
        table.add_column("reason", no_wrap=True, overflow="ellipsis", style="dim", ratio=1)
    for one, reason in zip(ordered, reasons, strict=True):
        verdict = Text(f"{story.MARKS[one.verdict]} {one.verdict}", style=STYLES[one.verdict])
        cells: list[str | Text] = [
            Text(one.expression),
            story.observed(one),
            story.interval(one),
            verdict,
            Text(reason),
        ]
        table.add_row(*cells[: len(table.columns)])
    if len(journal.assertions) > _MOST_ASSERTIONS:
        table.add_row(f"and {len(journal.assertions) - _MOST_ASSERTIONS} more in the report")
    return table


def _figures(journal: Journal) -> list[tuple[str, str]]:
    """Each with its name, in their order."""
    load, recovery = journal.load, journal.recovery
    service, capacity = (story.recovery_value(journal, name) for name in ("service", "capacity"))
    lost = recovery.lost_requests
    losses = "lost requests unknown" if lost is None else f"{count(lost, 'request')} lost"
    lag = seconds(load.lag_p99_s)
    targets = [name for fault in journal.faults for name in fault.targets]
    prefix, names = short_names(targets)
    victims = f"{', '.join(names)} of {prefix.removesuffix('-')}" if prefix else ", ".join(targets)
    loop = "" if load.loop == "open" else f", {load.loop}"
    return [
        *(("unsound", reason) for reason in journal.reasons[:_MOST_REASONS]),
        *(("machine", text.removeprefix("The machine was ")) for text in [cost.note(journal)] if text),
        *(
            [("disturbed", line) for line in disturbances.lines(journal)[:_MOST_LINES]]
            if journal.observes
            else [
                ("recovery", f"goodput {service}, capacity {capacity}, {losses}"),
                ("victims", victims or "none"),
            ]
        ),
        ("load", f"{load.planned:,} planned, {load.ok:,} ok, generator lag p99 {lag}{loop}"),
        *(
            ("refused", f"{one.count:,} times {one.words}")
            for one in story.refusals(journal)[:_MOST_REFUSALS]
        ),
        *(("cut", said) for said in [story.common_age(journal)] if said),
        *(
            ("rate", offered)
            for offered in (story.offered(journal, story.rate_clause),)
            if offered and load.capacity
        ),
    ]


def _fitting(figures: list[tuple[str, str]], console: Console, room: int) -> list[Text]:
    """A line for each, and a second one where a text needs it and there is room; what is cut is marked."""
    spare, width = room - len(figures), console.width - _NAMES - 1
    lines: list[Text] = []
    for name, text in figures:
        rest = Text(" ".join(text.split()))
        parts = [rest]
        if rest.cell_len > width and spare > 0:
            spare -= 1
            first = rest.wrap(console, width)[0]
            parts = [first, rest[len(first) :]]
        for part, head in zip(parts, (name, ""), strict=False):
            part.plain = part.plain.strip()
            part.truncate(width, overflow="ellipsis")
            lines.append(Text.assemble((f"{head:<{_NAMES}} ", "dim"), part))
    return lines
