"""What a live Chaos Mesh did, on tape: our timetables have the same events in the same order, at the same distances."""

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from chaos.faults.objects import read_manifest
from chaos.faults.schedule import DELETED_LATER_S as CHILD_LATER_S
from chaos.faults.workflow_course import DELETED_LATER_S
from chaos.targets.local.spec import RestartSpec
from tests.support.kubernetes_tape import taped


def watched(tape: list[dict[str, Any]], *watches: str) -> Iterator[tuple[float, str, dict[str, Any]]]:
    """When which frame arrived, of which type, with which object."""
    for row in tape:
        if row.get("watch") in watches:
            yield row["at"], row["frame"]["type"], row["frame"]["object"]


def posted(tape: list[dict[str, Any]], folder: Path) -> tuple[Path, float]:
    """The manifest that was created, and the stamp of its creation: whole seconds, from which everything is counted."""
    row = next(row for row in tape if str(row.get("call")).startswith("POST"))
    path = folder / "manifest.json"
    path.write_text(json.dumps(row["body"]))
    stamp = row["answer"]["metadata"]["creationTimestamp"]
    return path, datetime.fromisoformat(stamp).timestamp()


def test_a_schedule_begins_when_a_live_one_did_and_its_children_go_a_moment_after_it(tmp_path: Path) -> None:
    tape = taped("schedule")
    path, created_s = posted(tape, tmp_path)
    children = [
        at_s - created_s
        for at_s, type_, _ in watched(tape, "podchaos")
        if type_ == "ADDED" and at_s > created_s
    ]
    deleted_s = next(row["at"] for row in tape if str(row.get("call")).startswith("DELETE"))
    (schedule,) = read_manifest(path)
    ours = [one.at_s for one in schedule.occurrences(0.0, deleted_s - created_s)]
    assert len(children) >= 3
    assert ours == pytest.approx(children, abs=0.25)
    gone_s = [
        at_s - deleted_s
        for at_s, type_, _ in watched(tape, "podchaos")
        if type_ == "DELETED" and at_s > deleted_s
    ]
    assert 0 < CHILD_LATER_S <= max(gone_s) < 2.5 * CHILD_LATER_S


def test_nodes_of_a_workflow_begin_when_live_ones_did_while_the_last_fault_is_going(tmp_path: Path) -> None:
    tape = taped("workflow")
    path, created_s = posted(tape, tmp_path)
    began_s = {
        obj["metadata"]["name"].split("-")[0]: at_s - created_s
        for at_s, type_, obj in watched(tape, "podchaos", "networkchaos")
        if type_ == "ADDED"
    }
    began_s |= {
        obj["metadata"]["name"].split("-")[0]: at_s - created_s
        for at_s, type_, obj in watched(tape, "workflownodes")
        if type_ == "ADDED" and obj["metadata"]["name"].startswith("stress")
    }
    (workflow,) = read_manifest(path)
    ours = {one.fault.name: one for one in workflow.occurrences(0.0, None)}
    # The stamp from which all is counted is cut to the second before the first node.
    assert 0.0 <= began_s.pop("cut") - ours["cut"].at_s < 1.1
    assert {name: ours[name].at_s for name in began_s} == pytest.approx(began_s, abs=0.35)
    out_s = next(
        at_s - created_s
        for at_s, _, obj in watched(tape, "networkchaos")
        if "deletionTimestamp" in obj["metadata"]
        and {record["phase"] for record in obj["status"]["experiment"]["containerRecords"]}
        == {"Not Injected"}
    )
    next_node_s = next(
        at_s - created_s
        for at_s, type_, obj in watched(tape, "workflownodes")
        if type_ == "ADDED" and obj["metadata"]["name"].startswith("wait")
    )
    assert next_node_s < out_s
    assert ours["cut"].entry().ends_s == pytest.approx(out_s, abs=0.25)
    assert next_node_s < 4.0 + DELETED_LATER_S


@pytest.mark.parametrize("tape", ["pod-failure", "container-kill"])
def test_a_pod_that_fails_or_crashes_keeps_name_and_uid_and_counts_its_restarts(tape: str) -> None:
    seen = [obj for _, _, obj in watched(taped(tape), "pods")]
    restarts: dict[str, list[int]] = {}
    uids: dict[str, set[str]] = {}
    for pod in seen:
        name, statuses = pod["metadata"]["name"], pod["status"].get("containerStatuses") or []
        restarts.setdefault(name, []).extend(status["restartCount"] for status in statuses)
        uids.setdefault(name, set()).add(pod["metadata"]["uid"])
    (victim,) = [name for name, counts in restarts.items() if counts and counts[-1] > counts[0]]
    assert len(uids[victim]) == 1
    assert all(later >= earlier for earlier, later in pairwise(restarts[victim]))


def test_a_second_crash_in_a_row_waits_there_as_here_at_another_pace() -> None:
    reasons = [
        (status.get("state", {}).get("waiting") or {}).get("reason")
        for _, _, obj in watched(taped("container-kill"), "pods")
        for status in obj["status"].get("containerStatuses") or []
    ]
    assert "CrashLoopBackOff" in reasons
    assert [RestartSpec().wait_s(crashes) for crashes in (1, 2, 3, 20)] == [0.0, 1.0, 2.0, 30.0]


def test_a_killed_pod_is_another_one_even_under_the_same_name() -> None:
    seen = [(type_, obj["metadata"]) for _, type_, obj in watched(taped("pod-kill-statefulset"), "pods")]
    gone = {(meta["name"], meta["uid"]) for type_, meta in seen if type_ == "DELETED"}
    new = {(meta["name"], meta["uid"]) for type_, meta in seen if type_ == "ADDED"}
    assert gone
    assert {name for name, _ in gone} == {name for name, _ in new}
    assert not gone & new
