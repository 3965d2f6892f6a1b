"""What a request cost and a machine that was full, as terminal, summary and page tell them."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaos.judging.processor_section import section
from chaos.record import journal as journals
from chaos.record.journal import Journal
from chaos.report import cost, write_reports
from chaos.report.terminal import print_summary
from chaos.run_folder import RunFolder
from tests.support.killed_run import LIFE, measured, rows_of_a_kill
from tests.support.processor_samples import Rates, always, full_from, samples

SAMPLE = Path(__file__).parent / "data" / "run-sample"
SAID = "The machine was full for 100% of the fault phase: 0.75 of 2 cores ours, 1.25 somebody else's"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    return RunFolder(tmp_path)


def add(folder: RunFolder, rates: Rates, **changes: Any) -> Journal:
    """Put the section of made-up samples into the journal of a folder."""
    found = section(samples(rates), measured(rows_of_a_kill(), *LIFE))
    changed(journals.read(folder.journal), processor=found, **changes).write(folder.journal)
    return journals.read(folder.journal)


def changed(journal: Journal, **changes: Any) -> Journal:
    """The same journal but for these keys."""
    return Journal.model_validate({**journal.model_dump(by_alias=True), **changes})


def without_processor(folder: RunFolder) -> None:
    journal = journals.read(folder.journal)
    changed(journal, processor=None, processor_reason="nobody looked").write(folder.journal)


def told(folder: RunFolder) -> dict[str, str]:
    """Each report as text."""
    write_reports(folder)
    terminal = io.StringIO()
    print_summary(journals.read(folder.journal), folder, terminal)
    page = folder.report.read_text()
    return {
        "terminal": terminal.getvalue(),
        "summary": (folder.path / "summary.md").read_text(),
        "page": page[: page.index('id="journal"')].replace("&#39;", "'").replace("\N{NO-BREAK SPACE}", " "),
    }


def test_a_full_machine_is_said_beside_the_verdict_in_every_report(folder: RunFolder) -> None:
    add(folder, full_from(40, 45))
    reports = told(folder)
    assert SAID.removeprefix("The machine was ") in " ".join(reports["terminal"].split())
    assert f"{SAID}; contention can only have made it worse." in reports["summary"].split("\n### ")[0]
    assert f'id="machine">{SAID}; contention' in reports["page"].split("</header>")[0]


def test_what_the_terminal_has_no_room_for_is_marked_as_cut(folder: RunFolder) -> None:
    journal = add(folder, full_from(40, 45))
    unsound = changed(journal, reasons=["the reason goes on and on " * 20, "as does another " * 20])
    screen = io.StringIO()
    print_summary(unsound, folder, screen)
    lines = screen.getvalue().splitlines()
    assert len(lines) <= 24
    assert max(len(line) for line in lines if "report" not in line) <= 80
    start = next(place for place, line in enumerate(lines) if line.startswith("unsound"))
    assert not lines[start].endswith("\N{HORIZONTAL ELLIPSIS}"), "it goes on in the next line"
    assert lines[start + 1].startswith("          ")
    assert lines[start + 1].endswith("\N{HORIZONTAL ELLIPSIS}")


@pytest.mark.parametrize(
    ("verdict", "ending"),
    [("passed", "; contention can only have made it worse."), ("deviated", "."), ("inconclusive", ".")],
)
def test_only_what_passed_is_said_to_have_passed_in_spite_of_it(
    verdict: str, ending: str, folder: RunFolder
) -> None:
    assert cost.note(add(folder, full_from(40, 45), verdict=verdict)) == SAID + ending


Change = Callable[[RunFolder], object]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda folder: add(folder, always(busy=1, replicas=0.5)), id="a machine with room"),
        pytest.param(without_processor, id="no samples"),
    ],
)
def test_nothing_is_said_of_a_machine_that_was_not_full_or_not_watched(
    change: Change, folder: RunFolder
) -> None:
    change(folder)
    assert all("achine was full" not in text for text in told(folder).values())


def test_the_table_has_a_row_per_role_and_a_column_per_phase(folder: RunFolder) -> None:
    journal = add(folder, always(busy=1.5, replicas=0.75, load=0.25, cache=0.125))
    assert cost.phases(journal) == ["baseline", "fault", "recovery", "all"]
    rows = {name: cells[0] for name, cells in cost.rows(journal)}
    assert list(rows)[:3] == ["replicas", "load", "cache"]
    assert rows == {
        "replicas": "0.75 cores, 75 ms",
        "load": "0.25 cores, 25 ms",
        "cache": "0.12 cores, 12.5 ms",
        "ours together": "1.12 cores",
        "somebody else's": "0.38 cores",
        "busy, of 2 cores": "75 %",
        "time that was full": "0 %",
        "replicas, per token": "25 ms",
        "pressure: somebody waited": "37.5 %",
    }
    reports = told(folder)
    assert "| replicas | 0.75 cores, 75 ms |" in reports["summary"]
    assert 'data-label="baseline">0.75 cores, 75 ms</td>' in reports["page"]


def test_a_quota_has_a_row_where_there_is_one(folder: RunFolder) -> None:
    rates = always(busy=1, replicas=0.4, throttled=0.3)
    found = section(samples(rates, cores=0.5, quota=True), measured(rows_of_a_kill(), *LIFE))
    rows = dict(cost.rows(changed(journals.read(folder.journal), processor=found)))
    assert set(rows["quota used up"]) == {"30 %"}
    assert rows["busy, of 0.5 cores"][0] == "80 %"


def test_reports_without_samples_have_no_table_of_costs(folder: RunFolder) -> None:
    without_processor(folder)
    reports = told(folder)
    assert "What a request cost" not in reports["summary"] + reports["page"]
