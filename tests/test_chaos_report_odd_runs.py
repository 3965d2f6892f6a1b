"""Runs that went wrong are the ones whose report is read most: each kind is written and opened."""

import io
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from chaos.assertions.grammar import parse
from chaos.events import Event, read_events
from chaos.judging import journaling, records
from chaos.judging.evaluation import evaluate
from chaos.judging.verdict import judge
from chaos.measuring.columns import columns
from chaos.measuring.failures import CommonAge, Refusal
from chaos.measuring.measurements import measure
from chaos.measuring.objectives import Objectives
from chaos.measuring.recovery_time import Criteria
from chaos.measuring.timeline import Timeline
from chaos.record import journal as journals
from chaos.report import recorded, write
from chaos.report.terminal import print_summary
from chaos.report.words import seconds
from chaos.run_folder import RunFolder
from loadtests.rows import Row, read_rows

SAMPLE = RunFolder(Path(__file__).parent / "data" / "run-sample")
ROWS = tuple(read_rows(SAMPLE.requests))
EVENTS = tuple(read_events(SAMPLE.events))
RECORDED = records.read(SAMPLE).timeline
FAULT = RECORDED.faults[0]
RUN = journaling.RunFacts("odd", "It holds.", "local", 7, "2026-01-01T00:00:00Z", {"aftershock": "0.1.0"})
ASSERTIONS = (
    "recovery.service <= 15s",
    "recovery.capacity <= 15s",
    "p99(ttft, fault) <= 2s",
    "lost_requests <= 20",
)


def _all_fail(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(
        row
        if row.intended_s < FAULT.started_s
        else Row(row.index, row.intended_s, "connect_refused", row.intended_s, ended_s=row.intended_s + 0.1)
        for row in rows
    )


def _calm(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(
        Row(
            row.index,
            row.intended_s,
            "ok",
            dispatched_s=row.intended_s,
            token_s=(row.intended_s + 0.05,),
            ended_s=row.intended_s + 0.1,
        )
        for row in rows
    )


def _short_outage(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Two seconds of failures, then calm."""
    pairs = zip(_calm(rows), _all_fail(rows), strict=True)
    return tuple(bad if 0 <= bad.intended_s - FAULT.started_s < 2 else good for good, bad in pairs)


def _second_outage(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The short outage, calm for longer than the hold, and failures once more."""
    pairs = zip(_short_outage(rows), _all_fail(rows), strict=True)
    return tuple(bad if 10 <= bad.intended_s - FAULT.started_s < 14 else good for good, bad in pairs)


def _without_replacements(events: Sequence[Event]) -> tuple[Event, ...]:
    return tuple(event for event in events if event.kind != "replica_ready" or event.at_s < FAULT.started_s)


OUTAGE = replace(RECORDED, rows=columns(_short_outage(ROWS)))
ENDED = replace(FAULT, ended_s=FAULT.started_s + 3, lasts=True, undone=True)
LASTING = replace(FAULT, done="answered slowly", ended_s=FAULT.started_s + 5, undone=True)
ODD_RUNS = {
    "no-rows": replace(OUTAGE, rows=columns(())),
    "nothing-at-all": replace(OUTAGE, rows=columns(()), events=(), faults=(), planned=0),
    "no-events": replace(OUTAGE, events=()),
    "nothing-injected": replace(OUTAGE, faults=()),
    "fault-not-proved": replace(OUTAGE, faults=(replace(FAULT, verified=False, evidence=()),)),
    "fault-that-lasts": replace(OUTAGE, faults=(LASTING,)),
    "not-recovered": replace(OUTAGE, rows=columns(_all_fail(ROWS)), events=_without_replacements(EVENTS)),
    "no-impact": replace(OUTAGE, rows=columns(_calm(ROWS))),
    "relapse": replace(OUTAGE, rows=columns(_second_outage(ROWS)), faults=(ENDED,)),
}
FINDINGS = {
    "no-rows": "INCONCLUSIVE: how fast goodput was back after 3 of 10 replicas were killed is not known",
    "nothing-at-all": "INCONCLUSIVE: no fault was injected",
    "no-events": "goodput was back {back} after 3 of 10 replicas were killed",
    "nothing-injected": "INCONCLUSIVE: no fault was injected",
    "fault-not-proved": "goodput was back {back} after 3 of 10 replicas were killed; undecided because",
    "fault-that-lasts": "goodput was back {back} after 3 of 10 replicas answered slowly",
    "not-recovered": "DEVIATED: goodput was not back within 30 s after 3 of 10 replicas were killed",
    "no-impact": "goodput never left its tolerance when 3 of 10 replicas were killed",
    "relapse": "goodput was back {back} after 3 of 10 replicas were killed, but fell again after",
}


def written(path: Path, timeline: Timeline, run: journaling.RunFacts = RUN) -> RunFolder:
    folder = RunFolder(path)
    path.mkdir()
    measurements = measure(timeline, Objectives(ttft_s=0.5, e2e_s=2.5), Criteria())
    results = [evaluate(parse(expression), measurements) for expression in ASSERTIONS]
    journaling.build(run, measurements, judge(measurements, results)).write(folder.journal)
    write(folder, recorded.of(journals.read(folder.journal), timeline, {}))
    return folder


@pytest.mark.parametrize("name", ODD_RUNS)
def test_all_reports_of_an_odd_run_say_what_is_known(name: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "run", ODD_RUNS[name])
    journal = journals.read(folder.journal)
    finding = FINDINGS[name].format(back=seconds(journal.recovery.service_s))
    page = folder.report.read_text().replace("\N{NO-BREAK SPACE}", " ").replace(":</b>", ":")
    assert finding in page
    assert finding in (folder.path / "summary.md").read_text().replace("\\", "")
    suite = ET.parse(folder.path / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    problems = int(suite.get("failures", "")) + int(suite.get("errors", ""))
    assert (problems == 0) == (journal.exit_code == 0)
    screen = io.StringIO()
    print_summary(journal, folder, screen)
    assert len(screen.getvalue().splitlines()) <= 24


@pytest.mark.parametrize("name", ["no-rows", "nothing-at-all", "not-recovered"])
def test_page_of_an_odd_run_has_no_script_error(name: str, tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not on PATH")
    folder = written(tmp_path / "run", ODD_RUNS[name])
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        f"--user-data-dir={tmp_path / 'p'}",
    )
    dom = subprocess.run(
        (browser, *options, "--dump-dom", folder.report.as_uri()),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert "data-errors" not in dom[: dom.index("<head>")]
    assert dom.count("<canvas") == dom.count('class="chart"') >= 5


def test_reports_have_the_words_of_refusals_with_their_counts_and_the_one_age_of_what_was_cut(
    tmp_path: Path,
) -> None:
    """And nothing of either where there is nothing to say."""
    told = replace(
        RUN,
        refusals=(Refusal("http_404", "no such model", 1_234), Refusal("http_400", "too long", 2)),
        common_age=CommonAge(30.0, 38, 40),
    )
    folder = written(tmp_path / "told", OUTAGE, told)
    for path in (folder.report, folder.summary):
        text = path.read_text().replace("\N{NO-BREAK SPACE}", " ").replace("\\", "")
        for said in ("http_404", "no such model", "1,234", "http_400", "too long"):
            assert said in text, (path.name, said)
        assert "38 of 40 requests that were cut had lasted 30 s" in text
        assert "a deadline between client and server is the likely cause" in text
    folder = written(tmp_path / "untold", OUTAGE)
    for path in (folder.report, folder.summary):
        assert "what the server said" not in path.read_text()
        assert "cluster at one age" not in path.read_text()
