"""The types of the record are the schema: the docs and the JSON Schema are made from them, and real records fit."""

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.events import Event, EventKind, read_events
from chaos.record import documentation, observed
from chaos.record.details import DETAILS, FaultDetail, Looked, told
from chaos.record.journal import Journal
from chaos.run_folder import RunFolder

ROOT = Path(__file__).parent.parent
SAMPLE = RunFolder(ROOT / "tests" / "data" / "run-sample")


def test_the_page_and_the_schema_in_the_docs_are_those_of_the_types() -> None:
    assert (ROOT / documentation.PAGE).read_text() == documentation.page()
    assert (ROOT / documentation.SCHEMA_FILE).read_text() == documentation.schema()


def test_a_page_that_is_stale_is_told_and_made_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    assert documentation.main(check=True) == 1
    assert "docs/journal.md is not what the types say" in capsys.readouterr().err
    assert documentation.main(check=False) == documentation.main(check=True) == 0


def keys(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {f"{path}.{key}" for key in value} | {
            found for key, item in value.items() for found in keys(item, f"{path}.{key}")
        }
    return {found for item in value for found in keys(item, path)} if isinstance(value, list) else set()


def test_a_recorded_journal_has_only_keys_of_the_schema_and_comes_back_unchanged() -> None:
    recorded = json.loads(SAMPLE.journal.read_text())
    assert json.loads(Journal.model_validate(recorded).text) == recorded
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        Journal.model_validate({**recorded, "made_up": 1})
    assert len(keys(recorded)) > 100


def test_every_kind_of_event_has_a_type_of_detail_and_a_recorded_run_fits_them() -> None:
    assert {*DETAILS} == {*EventKind}
    events = read_events(SAMPLE.events)
    seen = {event.kind for event in events}
    assert seen >= {"target_opened", "load_started", "fault_injected", "fault_verified", "replica_gone"}
    for event in events:
        detail = DETAILS[event.kind].of_event(event)
        known = type(detail).model_fields.keys() | {"port", "metrics_port"}
        assert event.detail.keys() <= known, event


def test_a_detail_that_lacks_what_its_kind_says_is_named() -> None:
    with pytest.raises(ValueError, match=r"event fault_ended at 3\.000 s.*\n.*id"):
        DETAILS["fault_ended"].of_event(Event(3.0, "fault_ended"))


def test_details_of_runs_with_one_fault_per_experiment_are_still_understood() -> None:
    before = {
        "name": "drill",
        "kind": "PodChaos/pod-kill",
        "fidelity": "exact",
        "candidates": 2,
        "targets": ["a"],
    }
    events = [
        Event(1.0, "fault_injected", detail=before),
        Event(2.0, "fault_verified", "a", {"fault": "drill", "how": "gone"}),
    ]
    [(_, fault)] = told(events, FaultDetail, EventKind.FAULT_INJECTED)
    [(_, looked)] = told(events, Looked, EventKind.FAULT_VERIFIED)
    assert fault.occurrence == looked.id == "drill"


COUNTS = {
    "client_sent": 9,
    "gateway_requests": 9,
    "gateway_attempts": 10,
    "gateway_retries": 1,
    "replica_requests": 9,
    "replicas": [
        {"replica": "a", "killed": True, "gateway_attempts": 9, "replica_requests": None, "agrees": None}
    ],
    "problems": [],
}


def test_what_was_one_file_in_earlier_versions_is_read_as_the_four_of_now(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    alert = {"name": "ReplicaDown", "severity": "ticket", "fired_s": 3.5, "resolved_s": None}
    series = {"Waiting: a": {"query": "up", "points": [[0.0, 1.0], [1.0, float("nan")], [2.0, float("inf")]]}}
    kept = {"step_s": 1.0, "series": series, "alerts": [alert], "engine": {"engine": "reference"}}
    folder.metrics.write_text(json.dumps({**kept, "reconciliation": COUNTS}))
    found = observed.read(folder)
    assert found is not None
    [one] = found.series.values()
    assert (one.panel, one.note, one.label) == ("Waiting: a", "up", "Waiting: a")
    assert [value for _, value in one.points] == [1.0, None, float("inf")]
    assert found.alerts is not None
    assert found.alerts[0].resolved_s_reason == "it was firing when the run ended"
    assert found.reconciliation is not None
    assert found.reconciliation.replicas[0].gone
    folder.metrics.unlink()
    assert observed.read(folder) is None, "a run that did not come to ask"
    found.write(folder)
    assert observed.read(folder) == found


def test_a_run_of_an_earlier_version_that_was_cut_short_says_why(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    problems = ["the run was cut short: unhealthy baseline"]
    folder.metrics.write_text(json.dumps({"series": {}, "reconciliation": {"problems": problems}}))
    found = observed.read(folder)
    assert found is not None
    assert (found.cut_short, found.reconciliation) == ("unhealthy baseline", None)
