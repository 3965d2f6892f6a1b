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


def print_summary(journal: Journal, folder: RunFolder, file: TextIO | None = None) -> None:
    """Print what came of a run, short enough for 80 columns and 24 lines, to `file` or stdout."""
    console = Console(file=file, highlight=False)
    head = Text.assemble(
        (f"{story.MARKS[journal.verdict]} {story.word(journal).upper()}: ", STYLES[journal.verdict]),
        story.finding(journal),
    )
    console.print("", *head.wrap(console, console.width)[:_MOST_LINES], "", sep="\n")
    console.print(_assertions(journal), "", _figures(journal))
    # On one line however long: a path broken in two cannot be copied.
    console.print(Text.assemble(("report    ", "dim"), str(folder.report)), soft_wrap=True)


def _assertions(journal: Journal) -> Table:
    """What did not pass comes first: it must not be among those that do not fit."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", expand=True)
    table.add_column("assertion", no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column("observed", justify="right", no_wrap=True)
    table.add_column("95 %", no_wrap=True, style="dim")
    table.add_column("verdict", no_wrap=True, min_width=14)
    table.add_column("reason", no_wrap=True, overflow="ellipsis", style="dim", ratio=1)
    ordered = sorted(journal.assertions, key=lambda one: _URGENCY.index(one.verdict))
    for one in ordered[:_MOST_ASSERTIONS]:
        verdict = Text(f"{story.MARKS[one.verdict]} {one.verdict}", style=STYLES[one.verdict])
        reason = Text(story.reason(journal, one))
        table.add_row(Text(one.expression), story.observed(one), story.interval(one), verdict, reason)
    if len(ordered) > _MOST_ASSERTIONS:
        table.add_row(f"and {len(ordered) - _MOST_ASSERTIONS} more in the report")
    return table


def _figures(journal: Journal) -> Table:
    load, recovery = journal.load, journal.recovery
    service, capacity = (story.recovery_value(journal, name) for name in ("service", "capacity"))
    lost = recovery.lost_requests
    losses = "lost requests unknown" if lost is None else f"{count(lost, 'request')} lost"
    lag = seconds(load.lag_p99_s)
    targets = [name for fault in journal.faults for name in fault.targets]
    prefix, names = short_names(targets)
    victims = f"{', '.join(names)} of {prefix.removesuffix('-')}" if prefix else ", ".join(targets)
    loop = "" if load.loop == "open" else f", {load.loop}"
    lines = [
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
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(min_width=9, style="dim", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for name, text in lines:
        table.add_row(name, Text(text))
    return table
