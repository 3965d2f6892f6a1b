"""What came of a catalogue: a table on the terminal, the same in Markdown for a CI job, and JUnit XML."""

from collections.abc import Sequence
from typing import TextIO
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.table import Table
from rich.text import Text

from chaos.catalogue import Listed, Outcome, takes_s
from chaos.errors import ExitCode
from chaos.report import markdown, story
from chaos.report.junit import add_properties, document, figures
from chaos.report.junit import text as xml_text
from chaos.report.terminal import STYLES
from chaos.report.words import seconds

_LEFT_OUT = "not run"
_TAGS = {ExitCode.PASSED: None, ExitCode.DEVIATED: "failure", None: "skipped"}


def print_list(listed: Sequence[Listed], file: TextIO | None = None) -> None:
    """Print what there is to run: faults, how long, the hypothesis, and what this machine lacks."""
    console = Console(file=file, highlight=False)
    for one in listed:
        lacks = f"  not here: {', '.join(one.lacks)}" if one.lacks else ""
        head = Text.assemble((one.name, "bold"), f"  {one.faults}, {one.lasts_s:.0f} s", (lacks, "yellow"))
        console.print(head, soft_wrap=True)
        console.print(Text(f"  {' '.join(one.experiment.spec.hypothesis.split())}"))
    here = [one for one in listed if not one.lacks]
    load_s = sum(one.lasts_s for one in here)
    console.print(
        f"{len(here)} of {len(listed)} can run here, under load for {load_s / 60:.0f} minutes, and in about "
        f"{takes_s(listed) / 60:.0f} with every start, end and report",
        soft_wrap=True,
    )


def print_outcomes(outcomes: Sequence[Outcome], file: TextIO | None = None) -> None:
    """Print one line for each experiment, and why where it came to no verdict."""
    console = Console(file=file, highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for head in ("experiment", "fault", "verdict", "goodput back", "capacity", "lost", "took"):
        table.add_column(head, no_wrap=True, justify="right" if head in ("lost", "took") else "left")
    for one in outcomes:
        style = STYLES[one.journal.verdict] if one.journal and one.exit_code is not None else "dim"
        first, fault, verdict, *others = _cells(one)
        table.add_row(Text(first), Text(fault), Text(verdict, style), *map(Text, others))
    console.print("", table, sep="\n")
    for one in outcomes:
        if reason := _reason(one):
            console.print(Text.assemble((one.listed.name, "dim"), f"  {reason}"))


def summary(outcomes: Sequence[Outcome]) -> str:
    """The same in Markdown."""
    heads = ("experiment", "fault", "verdict", "goodput back", "capacity", "lost", "took")
    rows = [[*map(markdown.text, _cells(one))] for one in outcomes]
    reasons = [
        f"- {markdown.text(one.listed.name)}: {markdown.text(_reason(one))}"
        for one in outcomes
        if _reason(one)
    ]
    return (
        "\n\n".join(
            [
                "## aftershock: the catalogue",
                markdown.table(heads, rows),
                *(["\n".join(reasons)] if reasons else []),
            ]
        )
        + "\n"
    )


def junit(outcomes: Sequence[Outcome]) -> str:
    """A case each: deviated is a failure, what came to no verdict an error, what was not run is skipped."""
    suite = ET.Element("testsuite", name="aftershock.catalogue")
    for one in outcomes:
        case = ET.SubElement(
            suite, "testcase", classname="aftershock.catalogue", name=xml_text(one.listed.name)
        )
        case.set("time", f"{one.took_s:.3f}")
        if one.journal is not None:
            add_properties(case, figures(one.journal))
        tag = _TAGS.get(one.exit_code, "error")
        if tag is not None:
            finding = story.headline(one.journal) if tag == "failure" and one.journal else _reason(one)
            ET.SubElement(case, tag, message=xml_text(finding))
    return document(suite)


def _cells(one: Outcome) -> tuple[str, ...]:
    journal = one.journal
    if one.exit_code is None or journal is None:
        verdict = _LEFT_OUT if one.exit_code is None else one.exit_code.name.lower().replace("_", " ")
        return (
            one.listed.name,
            one.listed.faults,
            verdict,
            "",
            "",
            "",
            seconds(one.took_s) if one.took_s else "",
        )
    lost = journal.recovery.lost_requests
    return (
        one.listed.name,
        one.listed.faults,
        f"{story.MARKS[journal.verdict]} {story.word(journal)}",
        story.recovery_value(journal, "service"),
        story.recovery_value(journal, "capacity"),
        "" if lost is None else str(lost),
        seconds(one.took_s),
    )


def _reason(one: Outcome) -> str:
    """Why it came to no verdict, or what it found."""
    if one.why or one.journal is None or one.exit_code == ExitCode.PASSED:
        return one.why
    return story.finding(one.journal)
