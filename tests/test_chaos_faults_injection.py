"""From a step to its effect and back: on disk before it happens, undone on every path, looked at both times."""

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.errors import CleanupError, InconclusiveError, RefusedError
from chaos.faults.blast_radius import BlastRadius
from chaos.faults.injection import Injector, PlannedFault
from chaos.faults.kinds import read_fault
from chaos.faults.timetable import Step
from chaos.reading.documents import dump, read_document
from chaos.run_folder import RunFolder
from chaos.targets import Evidence
from tests.conftest import wait_until
from tests.support.fake_target import FakeTarget


def planned(folder: Path, kind: str = "Sham", *, control: bool = False, max_targets: int = 2) -> PlannedFault:
    group = "chaos-mesh.org/v1alpha1" if kind == "PodChaos" else "aftershock.dev/v1alpha1"
    spec = {"mode": "all", "duration": "5s", "selector": {"labelSelectors": {"app": "reference-server"}}}
    manifest = {
        "apiVersion": group,
        "kind": kind,
        "metadata": {"name": "drill", "namespace": "inference"},
        "spec": {**spec, "action": "pod-kill"} if kind == "PodChaos" else spec,
    }
    path = folder / f"{kind}.yaml"
    path.write_text(dump(manifest))
    return PlannedFault(read_fault(read_document(path)), BlastRadius(max_targets), control=control)


def injector(folder: Path, target: FakeTarget, *faults: PlannedFault) -> Injector:
    return Injector(target, faults, 1, RunFolder(folder))


def step(action: str, number: int = 1, fault: int = 0) -> Step:
    assert action in ("inject", "recover")
    return Step(0.0, "inject" if action == "inject" else "recover", fault, f"drill#{number}", number - 1)


def once_proved(running: Injector, number: int = 1) -> None:
    """Come back when what was seen of an occurrence in force has been noted."""

    def noted() -> bool:
        running.note_what_was_seen()
        return any(
            event.kind in ("fault_verified", "fault_unverified") and event.detail["id"] == f"drill#{number}"
            for event in running.events
        )

    wait_until(noted, within_s=30, what=f"a word about drill#{number}")


def intents(folder: Path) -> list[tuple[str, str]]:
    lines = map(json.loads, (folder / "state.jsonl").read_text().splitlines())
    return [(line["intent"], line["id"]) for line in lines]


def test_an_occurrence_is_injected_verified_undone_and_verified_again_under_its_id(tmp_path: Path) -> None:
    target = FakeTarget()
    with injector(tmp_path, target, planned(tmp_path)) as running:
        running.apply(step("inject"))
        assert sorted(target.effects["drill#1"]) == ["a", "b"]
        once_proved(running)
        running.apply(step("recover"))
        assert target.effects == {}
    assert [event.kind for event in running.events] == [
        *("fault_intended", "fault_injected", "fault_verified", "fault_verified"),
        *("fault_ended", "end_verified", "end_verified"),
    ]
    assert {event.detail["id"] for event in running.events} == {"drill#1"}
    stamps = [event.at_s for event in running.events]
    assert stamps == sorted(stamps), "what was seen is stamped when it was seen, not when it was noted"
    assert intents(tmp_path) == [("inject", "drill#1"), ("recover", "drill#1")]
    assert target.history == ["inject drill#1", "recover drill#1"]


def test_what_is_about_to_be_done_is_on_disk_before_it_is_done(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []
    target = FakeTarget(on_inject=lambda: seen.extend(intents(tmp_path)))
    with injector(tmp_path, target, planned(tmp_path, "PodChaos")) as running:
        running.apply(step("inject"))
    assert seen == [("inject", "drill#1")]


def test_leaving_undoes_what_is_in_force_the_latest_first(tmp_path: Path) -> None:
    target = FakeTarget()
    with injector(tmp_path, target, planned(tmp_path)) as running:
        running.apply(step("inject", 1))
        running.apply(step("inject", 2))
    assert target.history[2:] == ["recover drill#2", "recover drill#1"]
    assert target.effects == {}


def test_a_fault_that_was_half_injected_is_undone_too(tmp_path: Path) -> None:
    target = FakeTarget(fails_to_inject=True)
    with pytest.raises(OSError, match="half of it"), injector(tmp_path, target, planned(tmp_path)) as running:
        running.apply(step("inject"))
    assert target.effects == {}


def test_a_control_is_aimed_at_its_victims_hits_nobody_and_is_not_verified(tmp_path: Path) -> None:
    target = FakeTarget()
    with injector(tmp_path, target, planned(tmp_path, control=True)) as running:
        running.apply(step("inject"))
        assert target.effects["drill#1"] == []
    looked = [(event.kind, event.replica) for event in running.events if event.kind.endswith("verified")]
    assert looked[:2] == [("fault_unverified", "a"), ("fault_unverified", "b")]


def test_a_fault_that_is_still_to_be_seen_after_its_end_is_the_loudest_error(tmp_path: Path) -> None:
    target = FakeTarget(stays=True)
    with (
        pytest.raises(CleanupError, match=r"drill#1 was undone, and is still to be seen: a: hit"),
        injector(tmp_path, target, planned(tmp_path)) as running,
    ):
        running.apply(step("inject"))
    assert [event.kind for event in running.events][-3:] == [
        "fault_ended",
        "end_unverified",
        "end_unverified",
    ]


class Hanging(FakeTarget):
    """Has a witness who, while he looks at the first occurrence, does not come back before he is told to."""

    def __init__(self, *, before_its_end: bool) -> None:
        super().__init__()
        self.before_its_end = before_its_end
        self.comes_back = threading.Event()

    def verify(self, occurrence: str, within_s: float) -> Sequence[Evidence]:
        if self.before_its_end and occurrence == "drill#1":
            self.comes_back.wait(60)
        return super().verify(occurrence, within_s)

    def verify_recovered(self, occurrence: str, within_s: float) -> Sequence[Evidence]:
        if not self.before_its_end and occurrence == "drill#1":
            self.comes_back.wait(60)
        return super().verify_recovered(occurrence, within_s)


def test_a_proof_that_takes_long_keeps_no_other_fault_waiting_and_is_waited_for_before_the_end(
    tmp_path: Path,
) -> None:
    target = Hanging(before_its_end=True)
    with injector(tmp_path, target, planned(tmp_path)) as running:
        running.apply(step("inject", 1))
        running.apply(step("inject", 2))
        target.comes_back.set()
    proved = [event.detail["id"] for event in running.events if event.kind == "fault_verified"]
    assert sorted(proved) == ["drill#1", "drill#1", "drill#2", "drill#2"]


def test_a_witness_who_hangs_keeps_no_fault_in_force_beyond_its_end_and_nothing_is_proved(
    tmp_path: Path,
) -> None:
    target = Hanging(before_its_end=True)
    with injector(tmp_path, target, planned(tmp_path)) as running:
        running.apply(step("inject"))
        running.apply(step("recover"))
        assert target.effects == {}
        assert not target.comes_back.is_set(), "he hangs for longer than the fault may last"
    assert [event.kind for event in running.events] == [
        *("fault_intended", "fault_injected", "fault_ended"),
        *("fault_unverified", "fault_unverified", "end_verified", "end_verified"),
    ]
    assert any("was still looking" in event.detail.get("how", "") for event in running.events)
    target.comes_back.set()


def test_a_look_whether_one_fault_is_over_keeps_no_other_in_force(tmp_path: Path) -> None:
    target = Hanging(before_its_end=False)
    with injector(tmp_path, target, planned(tmp_path)) as running:
        running.apply(step("inject", 1))
        running.apply(step("inject", 2))
        running.apply(step("recover", 1))
        running.apply(step("recover", 2))
        assert target.effects == {}
        target.comes_back.set()


def test_where_nobody_can_say_that_a_fault_is_over_the_clean_up_is_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaos.faults.looking.OVERTIME_S", 0.0)
    monkeypatch.setattr("chaos.faults.injection._PROOF_WITHIN_S", 0.2)
    target = Hanging(before_its_end=False)
    running = injector(tmp_path, target, planned(tmp_path))
    running.apply(step("inject"))
    running.apply(step("recover"))
    with (
        pytest.raises(CleanupError, match="drill#1 was undone, and is still to be seen: a: its witness was"),
        running,
    ):
        pass
    target.comes_back.set()


def test_a_fault_of_a_run_that_fails_is_undone_at_once_and_not_kept_for_its_proof(tmp_path: Path) -> None:
    target = Hanging(before_its_end=True)
    running = injector(tmp_path, target, planned(tmp_path))
    running.apply(step("inject"))
    with pytest.raises(InconclusiveError, match="the load died"), running:
        raise InconclusiveError("the load died")
    assert target.effects == {}
    assert [event.kind for event in running.events][2:5] == [
        "fault_ended",
        "fault_unverified",
        "fault_unverified",
    ]
    target.comes_back.set()


@pytest.mark.parametrize(("duration_s", "within_s"), [(2.0, 2.0), (60.0, 5.0), (None, 5.0)])
def test_nobody_looks_for_a_proof_for_longer_than_the_fault_is_to_last(
    tmp_path: Path, duration_s: float | None, within_s: float
) -> None:
    looks: list[float] = []

    class Patient(FakeTarget):
        def verify(self, occurrence: str, within_s: float) -> Sequence[Evidence]:
            looks.append(within_s)
            return super().verify(occurrence, within_s)

    one = planned(tmp_path)
    short = replace(one, fault=replace(one.fault, duration_s=duration_s))
    with injector(tmp_path, Patient(), short) as running:
        running.apply(step("inject"))
    assert looks == [within_s]


def test_a_proof_that_fails_to_look_keeps_nothing_in_force(tmp_path: Path) -> None:
    class Blind(FakeTarget):
        def verify(self, occurrence: str, within_s: float) -> Sequence[Evidence]:
            raise InconclusiveError(f"nobody can be seen any more: {occurrence}, {within_s:g}")

    target = Blind()
    with (
        pytest.raises(InconclusiveError, match="nobody can be seen"),
        injector(tmp_path, target, planned(tmp_path)) as running,
    ):
        running.apply(step("inject"))
    assert target.effects == {}


def test_a_disk_that_refuses_the_intent_keeps_nothing_in_force(tmp_path: Path) -> None:
    target = FakeTarget()
    with injector(tmp_path, target, planned(tmp_path)) as running:
        running.apply(step("inject"))
        (tmp_path / "state.jsonl").unlink()
        (tmp_path / "state.jsonl").mkdir()
    assert target.effects == {}


def test_nothing_is_undone_of_a_fault_that_is_over_at_once(tmp_path: Path) -> None:
    target = FakeTarget()
    with injector(tmp_path, target, planned(tmp_path, "PodChaos")) as running:
        running.apply(step("inject"))
    assert target.history == ["inject drill#1"]


def test_a_fault_beyond_its_blast_radius_is_refused_and_nothing_is_written_or_done(tmp_path: Path) -> None:
    target = FakeTarget()
    with (
        pytest.raises(RefusedError, match="could hit 2 replicas"),
        injector(tmp_path, target, planned(tmp_path, max_targets=1)) as running,
    ):
        running.apply(step("inject"))
    assert target.history == []
    assert not (tmp_path / "state.jsonl").exists()


def test_one_seed_draws_the_same_victims_for_an_occurrence_and_others_for_the_next(tmp_path: Path) -> None:
    manifest = planned(tmp_path)
    assert manifest.fault.selection is not None
    selection = manifest.fault.selection.model_copy(update={"mode": "one"})
    one = PlannedFault(replace(manifest.fault, selection=selection), manifest.radius)
    draws = []
    for _ in range(2):
        target = FakeTarget()
        with injector(tmp_path, target, one) as running:
            for number in range(1, 21):
                running.apply(step("inject", number))
            draws.append([*target.effects.values()])
    assert draws[0] == draws[1]
    assert {name for names in draws[0] for name in names} == {"a", "b"}
