"""Schedules and Workflows in time: what is created when, what ends it, and what cannot be laid out."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.faults.objects import read_manifest
from chaos.faults.occurrence import Occurrence, Planned
from chaos.faults.schedule import DELETED_LATER_S as SCHEDULE_LATER_S
from chaos.faults.workflow_course import DELETED_LATER_S

WHO: dict[str, Any] = {"mode": "one", "selector": {"labelSelectors": {"app": "server"}}}
KILL = {"action": "pod-kill", **WHO}
DOWN = {"action": "pod-failure", **WHO}


def read(folder: Path, kind: str, spec: Any) -> Planned:
    path = folder / "manifest.json"
    metadata = {"name": "drill", "namespace": "inference"}
    manifest = {
        "apiVersion": "chaos-mesh.org/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }
    path.write_text(json.dumps(manifest))
    return read_manifest(path)[0]


def schedule(folder: Path, **changes: Any) -> Planned:
    return read(
        folder, "Schedule", {"schedule": "@every 6s", "type": "PodChaos", "podChaos": KILL, **changes}
    )


def workflow(folder: Path, *templates: dict[str, Any]) -> Planned:
    return read(folder, "Workflow", {"entry": templates[0]["name"], "templates": [*templates]})


def chaos(name: str, deadline: str | None, spec: dict[str, Any] = KILL) -> dict[str, Any]:
    ends = {} if deadline is None else {"deadline": deadline}
    return {"name": name, "templateType": "PodChaos", "podChaos": spec, **ends}


def pause(name: str, deadline: str) -> dict[str, Any]:
    return {"name": name, "templateType": "Suspend", "deadline": deadline}


def of(kind: str, name: str, *children: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "templateType": kind, "children": [*children], **more}


def rows(found: Any) -> list[tuple[str, float, float | None]]:
    """Of each occurrence its fault's name, when it begins, and when it ends."""
    occurrences: list[Occurrence] = [*found]
    return [(one.fault.name, one.at_s, one.entry().ends_s) for one in occurrences]


def test_a_schedule_begins_from_its_creation_until_it_is_deleted(tmp_path: Path) -> None:
    found = schedule(tmp_path).occurrences(at_s=4.0, until_s=22.0)
    assert rows(found) == [("drill", 10.0, None), ("drill", 16.0, None)]


def test_children_outlive_their_schedule_by_a_moment(tmp_path: Path) -> None:
    found = [*schedule(tmp_path, podChaos=DOWN).occurrences(0.0, 10.0)]
    assert rows(found) == [("drill", 6.0, 10.0 + SCHEDULE_LATER_S)]
    found = [*schedule(tmp_path, podChaos={**DOWN, "duration": "1s"}).occurrences(0.0, 10.0)]
    assert rows(found) == [("drill", 6.0, 7.0)]


@pytest.mark.parametrize(
    ("policy", "spec", "begins"),
    [
        ("Forbid", KILL, [6.0, 12.0, 18.0, 24.0]),  # what is over at once forbids nothing
        ("Forbid", {**DOWN, "duration": "6s"}, [6.0, 12.0, 18.0, 24.0]),
        ("Forbid", {**DOWN, "duration": "8s"}, [6.0, 18.0]),
        ("Allow", {**DOWN, "duration": "8s"}, [6.0, 12.0, 18.0, 24.0]),
        ("Forbid", DOWN, [6.0]),
        ("Allow", DOWN, [6.0, 12.0, 18.0, 24.0]),
    ],
    ids=str,
)
def test_a_policy_says_whether_one_may_begin_beside_another(
    tmp_path: Path, policy: str, spec: dict[str, Any], begins: list[float]
) -> None:
    found = schedule(tmp_path, concurrencyPolicy=policy, podChaos=spec).occurrences(0.0, 25.0)
    assert [one.at_s for one in found] == begins


def test_cron_is_read_as_from_a_midnight_and_so_the_same_in_every_run(tmp_path: Path) -> None:
    found = schedule(tmp_path, schedule="*/10 * * * * *").occurrences(3.0, 34.0)
    assert [one.at_s for one in found] == [13.0, 23.0, 33.0]
    assert [*schedule(tmp_path, schedule="0 9 * * *").occurrences(0.0, 600.0)] == []


def test_a_schedule_that_nothing_deletes_cannot_be_laid_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it goes on until it is deleted"):
        [*schedule(tmp_path).occurrences(0.0, None)]
    with pytest.raises(ValueError, match="more than 1000 times"):
        [*schedule(tmp_path, schedule="@every 1s").occurrences(0.0, 5000.0)]


def test_nodes_of_a_serial_one_begin_when_the_last_ones_deadline_is_over(tmp_path: Path) -> None:
    found = workflow(
        tmp_path,
        of("Serial", "all", "first", "rest", "second"),
        chaos("first", "4s", DOWN),
        pause("rest", "3s"),
        chaos("second", "5s", DOWN),
    )
    assert rows(found.occurrences(1.0, None)) == [
        ("first", 1.0, 5.0 + DELETED_LATER_S),
        ("second", 8.0, 13.0 + DELETED_LATER_S),
    ]
    assert found.over_s(1.0) == 13.0


def test_a_next_node_begins_while_the_last_fault_is_still_going(tmp_path: Path) -> None:
    found = workflow(tmp_path, of("Serial", "all", "a", "b"), chaos("a", "4s", DOWN), chaos("b", "4s", DOWN))
    first, second = found.occurrences(0.0, None)
    assert second.at_s == 4.0 < (first.entry().ends_s or 0.0)


def test_nodes_of_a_parallel_one_begin_together_and_it_is_over_with_the_last(tmp_path: Path) -> None:
    found = workflow(
        tmp_path,
        of("Serial", "all", "both", "after"),
        of("Parallel", "both", "a", "b"),
        chaos("a", "2s"),
        chaos("b", "7s"),
        chaos("after", "1s"),
    )
    assert [(one.fault.name, one.at_s) for one in found.occurrences(0.0, None)] == [
        ("a", 0.0),
        ("b", 0.0),
        ("after", 7.0),
    ]


def test_a_deadline_ends_everything_beneath_it(tmp_path: Path) -> None:
    found = workflow(
        tmp_path,
        of("Serial", "all", "a", "b", "c", deadline="5s"),
        chaos("a", "3s", DOWN),
        chaos("b", "3s", DOWN),
        chaos("c", "3s", DOWN),
    )
    assert rows(found.occurrences(0.0, None)) == [
        ("a", 0.0, 3.0 + DELETED_LATER_S),
        ("b", 3.0, 5.0 + DELETED_LATER_S),
    ]


def test_what_follows_a_node_that_is_never_over_never_begins(tmp_path: Path) -> None:
    found = workflow(tmp_path, of("Serial", "all", "a", "b"), chaos("a", None), chaos("b", "1s"))
    assert [one.fault.name for one in found.occurrences(0.0, None)] == ["a"]
    assert found.over_s(0.0) is None


def test_a_workflow_that_is_deleted_ends_all_of_its_faults(tmp_path: Path) -> None:
    found = workflow(tmp_path, chaos("a", "60s", DOWN))
    assert rows(found.occurrences(0.0, 10.0)) == [("a", 0.0, 10.0 + DELETED_LATER_S)]


def test_a_schedule_inside_of_a_workflow_is_deleted_at_its_deadline(tmp_path: Path) -> None:
    inner = {"schedule": "@every 2s", "concurrencyPolicy": "Allow", "type": "PodChaos", "podChaos": KILL}
    found = workflow(
        tmp_path, {"name": "kills", "templateType": "Schedule", "deadline": "7s", "schedule": inner}
    )
    assert [(one.fault.name, one.at_s) for one in found.occurrences(1.0, None)] == [
        ("kills", 3.0),
        ("kills", 5.0),
        ("kills", 7.0),
    ]


def test_a_schedule_of_workflows_forbids_by_their_end(tmp_path: Path) -> None:
    inner = {
        "entry": "all",
        "templates": [of("Serial", "all", "a", "rest"), chaos("a", "1s"), pause("rest", "7s")],
    }
    found = schedule(tmp_path, type="Workflow", workflow=inner, podChaos=None)
    assert [one.at_s for one in found.occurrences(0.0, 25.0)] == [6.0, 18.0]


def test_a_workflow_without_end_is_no_endless_walk(tmp_path: Path) -> None:
    found = workflow(tmp_path, of("Serial", "a", "b", "a"), pause("b", "1s"))
    with pytest.raises(ValueError, match="more than"):
        [*found.occurrences(0.0, None)]
    wide = [of("Parallel", f"n{n}", *[f"n{n + 1}"] * 9) for n in range(4)]
    found = workflow(tmp_path, *wide, pause("n4", "1s"))
    with pytest.raises(ValueError, match="more than 1000 nodes"):
        [*found.occurrences(0.0, None)]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (
            {"name": "t", "templateType": "Task", "task": {"container": {"name": "c"}}},
            "a Task runs a container",
        ),
        (
            {
                "name": "t",
                "templateType": "DNSChaos",
                "deadline": "1s",
                "dnsChaos": {**WHO, "action": "error"},
            },
            "no DNS server",
        ),
    ],
    ids=lambda value: value["templateType"] if isinstance(value, dict) else "",
)
def test_a_workflow_of_what_cannot_be_run_says_why(
    tmp_path: Path, template: dict[str, Any], reason: str
) -> None:
    found = workflow(tmp_path, of("Serial", "all", "a", "t"), chaos("a", "1s"), template)
    assert reason in (found.runs_nowhere or "")
    assert workflow(tmp_path, chaos("a", "1s")).runs_nowhere is None


def test_a_schedule_of_workflows_that_ask_says_why_it_cannot_be_run(tmp_path: Path) -> None:
    asks = {
        "name": "asks",
        "templateType": "StatusCheck",
        "deadline": "9s",
        "statusCheck": {"http": {"url": "http://server/", "criteria": {"statusCode": "200"}}},
    }
    templates = [of("Serial", "all", "a", "asks"), chaos("a", "1s"), asks]
    assert workflow(tmp_path, *templates).runs_nowhere is None
    inner = {"entry": "all", "templates": templates}
    found = schedule(tmp_path, type="Workflow", workflow=inner, podChaos=None)
    assert "what a StatusCheck of its Workflow is answered" in (found.runs_nowhere or "")


@given(
    every_s=st.integers(1, 30),
    lasts_s=st.integers(1, 40),
    at_s=st.integers(0, 20),
    open_s=st.integers(1, 200),
    forbids=st.booleans(),
)
def test_whatever_a_schedule_says_its_faults_lie_between_creation_and_deletion(
    tmp_path_factory: pytest.TempPathFactory,
    every_s: int,
    lasts_s: int,
    at_s: int,
    open_s: int,
    forbids: bool,
) -> None:
    found = schedule(
        tmp_path_factory.getbasetemp(),
        schedule=f"@every {every_s}s",
        concurrencyPolicy="Forbid" if forbids else "Allow",
        podChaos={**DOWN, "duration": f"{lasts_s}s"},
    )
    until_s = float(at_s + open_s)
    occurrences = [*found.occurrences(float(at_s), until_s)]
    ends_s = [one.entry().ends_s or 0.0 for one in occurrences]
    assert all(at_s < one.at_s < until_s for one in occurrences)
    assert all(end_s <= until_s + SCHEDULE_LATER_S for end_s in ends_s)
    if forbids:
        later = occurrences[1:]
        assert all(one.at_s >= end_s for one, end_s in zip(later, ends_s, strict=False))
    else:
        assert len(occurrences) == (open_s - 1) // every_s
