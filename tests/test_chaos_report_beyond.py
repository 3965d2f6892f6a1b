"""What some runs have and others have not: shown where it has a value, and nowhere else."""

import shutil
from pathlib import Path

import pytest

from chaos.record import journal as journals
from chaos.record.journal import Journal
from chaos.record.parts import TrafficPart
from chaos.report import beyond, write_reports
from chaos.run_folder import RunFolder

SAMPLE = Path(__file__).parent / "data" / "run-sample"


@pytest.fixture(scope="module")
def journal() -> Journal:
    return journals.read(SAMPLE / "journal.json")


def changed(journal: Journal, *, of_recovery: dict[str, object], of_baseline: dict[str, object]) -> Journal:
    baseline, *rest = journal.phases
    phases = (baseline.model_copy(update=of_baseline), *rest)
    recovery = journal.recovery.model_copy(update=of_recovery)
    return journal.model_copy(update={"phases": phases, "recovery": recovery})


def test_a_tile_or_a_row_is_there_only_where_there_is_a_value(journal: Journal) -> None:
    assert [tile.title for tile in beyond.tiles(journal)] == ["Cold start"]
    nothing = dict.fromkeys(("queue_p99_s", "queue_p99_interval_s", "lost_tokens", "doubled_tokens"))
    bare = changed(journal, of_recovery={"cold_starts": None}, of_baseline=nothing)
    bare = bare.model_copy(update={"phases": tuple(each.model_copy(update=nothing) for each in bare.phases)})
    shown = (beyond.tiles(bare), beyond.of_phases(bare)[1], beyond.cold_starts(bare), beyond.parts(bare))
    assert not any(shown)


def test_what_the_server_tells_is_told_with_its_edges_and_its_interval(journal: Journal) -> None:
    told = changed(
        journal,
        of_recovery={"cache_s": 9.0, "cache_s_reason": None, "cache_interval_s": (3.0, 9.0), "cache": 0.9},
        of_baseline={"queue_p99_s": 0.5, "queue_p99_interval_s": (0.1, 0.5), "lost_tokens": 7},
    )
    warm = beyond.tiles(told)[0]
    assert (warm.title, warm.value) == ("Caches warm after", "9 s")
    assert warm.terms.startswith("3 s to 9 s: 90 % of the baseline's hit ratio")
    phases, rows = beyond.of_phases(told)
    assert phases == ("baseline", "fault", "recovery")
    [queue, lost, *_] = rows
    assert queue[:2] == ("time in the queue p99, by the server", "up to 500 ms (95 %: 100 ms to 500 ms)")
    assert lost[:2] == ("tokens lost", "7")


def test_never_is_told_as_such(journal: Journal) -> None:
    cold = changed(
        journal,
        of_recovery={"cache_s": float("inf"), "cache_s_reason": "still cold", "cold_start_s": float("inf")},
        of_baseline={},
    )
    assert [tile.value for tile in beyond.tiles(cold)] == ["never", "never"]


def test_reports_show_each_replica_that_started_and_each_part_of_the_load(
    tmp_path: Path, journal: Journal
) -> None:
    folder = Path(shutil.copytree(SAMPLE, tmp_path / "run"))
    part = TrafficPart(
        tenant="<b>",
        phase="fault",
        n=9,
        failed=1,
        goodput=0.5,
        error_ratio=0.1,
        ttft_p50_s=0.1,
        ttft_p99_s=0.2,
    )
    journal.model_copy(update={"parts": (part,)}).write(folder / "journal.json")
    write_reports(RunFolder(folder))
    [replica, created, *_, ready, first_token] = beyond.cold_starts(journal)[0]
    page, summary = (folder / "report.html").read_text(), (folder / "summary.md").read_text()
    for text in (page, summary):
        for cell in (replica, created, ready, first_token, "Cold starts", "Parts of the load"):
            assert cell in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "&lt;b&gt;</td>" in page
