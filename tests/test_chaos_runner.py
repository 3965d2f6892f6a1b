"""The whole runner on a target of a few lines and a scripted service: what it does and records, whatever the target."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.cli import main
from chaos.display.progress import QuietProgress
from chaos.errors import AbortedError, CleanupError, ExitCode, RefusedError
from chaos.events import read_events
from chaos.experiment.experiment import read_experiment
from chaos.record import journal as journals
from chaos.record.journal import Journal
from chaos.record.rows_file import read_columns
from chaos.run_folder import RunFolder, create
from chaos.runner import Run
from chaos.targets import Evidence
from tests.support.fake_target import FakeTarget
from tests.support.scripted_server import ScriptedServer

SELECTOR = {"labelSelectors": {"app": "reference-server"}}
DELAY = {
    "apiVersion": "chaos-mesh.org/v1alpha1",
    "kind": "NetworkChaos",
    "metadata": {"name": "delay", "namespace": "inference"},
    "spec": {
        "action": "delay",
        "mode": "fixed",
        "value": "1",
        "selector": SELECTOR,
        "delay": {"latency": "100ms"},
        "duration": "1s",
    },
}
SHAM = {
    "apiVersion": "aftershock.dev/v1alpha1",
    "kind": "Sham",
    "metadata": {"name": "sham", "namespace": "inference"},
    "spec": {"mode": "fixed", "value": "1", "selector": SELECTOR, "duration": "1s"},
}


@dataclass
class Unproved(FakeTarget):
    """Hits whom it is told to, and can show it for the first occurrence alone."""

    def verify(self, occurrence: str, within_s: float) -> Sequence[Evidence]:
        found = super().verify(occurrence, within_s)
        if occurrence.endswith("#1"):
            return found
        return [Evidence(each.replica, verified=False, how="nothing to be seen") for each in found]


@dataclass
class Unseen(FakeTarget):
    """A target whose replicas nobody can count."""

    wanted_replicas: int = 0


def run(
    folder: Path, target: FakeTarget, *faults: dict[str, Any], script: str = "ok", **changes: Any
) -> tuple[RunFolder, Journal | None, BaseException | None]:
    """One run of some seconds: its folder, its journal, and how it ended."""
    folder.mkdir(exist_ok=True)
    for manifest in (DELAY, SHAM):
        (folder / f"{manifest['kind']}.yaml").write_text(yaml.safe_dump(manifest))
    values = {
        "experiment": "small",
        "hypothesis": "It holds.",
        "seed": 3,
        "target": {"local": {"replicas": 2}},
        "load": {"rate": 40, "arrivals": "constant", "timeouts": {"ttft": "2s", "deadline": "4s"}},
        "phases": {"warmup": "500ms", "baseline": "3s", "observe": "8s"},
        "faults": list(faults),
        "slo": {"ttft": "1500ms", "e2e": "2500ms"},
        "recovery": {"window": "1s", "hold": "2s", "within": "3s"},
        "assertions": ["recovery.service <= 3s", "lost_requests <= 400"],
        **changes,
    }
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(values))
    out = create("small", folder / "run")
    out.experiment.write_text(path.read_text())
    for file in ("NetworkChaos.yaml", "Sham.yaml"):
        (out.path / file).write_text((folder / file).read_text())
    with ScriptedServer() as server, (folder / "screen").open("w") as screen:
        target.url = server.url(script)
        runner = Run(
            read_experiment(out.experiment), out, QuietProgress(screen), open_target=lambda _: target
        )
        try:
            return out, runner.run(), None
        except BaseException as error:
            return out, journals.read(out.journal), error


def test_a_lasting_fault_has_its_window_its_end_and_a_recovery_from_there(tmp_path: Path) -> None:
    fault = {"manifest": "NetworkChaos.yaml", "max_targets": 1}
    again = {**fault, "at": "2s"}
    asserted = ["recovery.service_after_end <= 3s", "goodput(fault) >= 90%"]
    folder, journal, error = run(tmp_path, FakeTarget(), fault, again, assertions=asserted)
    assert error is None
    assert journal is not None
    assert [one.id for one in journal.faults] == ["delay#1", "delay#2"]
    names = [phase.name for phase in journal.phases]
    assert names == ["baseline", "fault", "fault:delay#1", "fault:delay#2", "recovery"]
    whole, first, second = journal.phases[1:4]
    assert (whole.start_s, whole.end_s) == (first.start_s, second.end_s)
    for fault_window, phase in zip(journal.faults, (first, second), strict=True):
        assert (fault_window.verified, fault_window.undone, fault_window.lasts) == (True, True, True)
        assert (phase.start_s, phase.end_s) == (fault_window.started_s, fault_window.ended_s)
        assert phase.end_s - phase.start_s == pytest.approx(1.0, abs=0.5)
        assert phase.n > 0
    assert journal.recovery.service_after_end_s is not None
    assert [one.observed for one in journal.assertions] == [
        journal.recovery.service_after_end_s,
        whole.goodput,
    ]
    assert json.loads(folder.timetable.read_text())["steps"][-1]["occurrence"] == "delay#2"


def test_a_second_injection_of_one_name_that_nobody_could_prove_is_not_proved_by_the_first(
    tmp_path: Path,
) -> None:
    fault = {"manifest": "NetworkChaos.yaml", "max_targets": 1}
    _, journal, error = run(tmp_path, Unproved(), fault, {**fault, "at": "2s"})
    assert error is None
    assert journal is not None
    assert [one.verified for one in journal.faults] == [True, False]
    assert "fault delay#2: not every target is proved to have been hit" in journal.reasons
    assert journal.exit_code is ExitCode.INCONCLUSIVE


def test_a_fault_with_a_condition_is_injected_when_that_holds_and_ends_so_long_after_that(
    tmp_path: Path,
) -> None:
    when = {"of": "goodput", "above": "50%", "over": "1s", "for": "600ms", "within": "2s"}
    fault = {"manifest": "NetworkChaos.yaml", "max_targets": 1, "jitter": "0s", "when": when}
    folder, journal, error = run(tmp_path, FakeTarget(), fault)
    assert error is None
    assert journal is not None
    (one,) = journal.faults
    assert one.condition == "goodput over 1s above 0.5 for 600ms: it was 1"
    assert one.started_s >= 3.5 + 0.6
    assert one.ended_s is not None
    assert one.ended_s - one.started_s == pytest.approx(1.0, abs=0.5)
    (met,) = [event for event in read_events(folder.events) if event.kind == "condition_met"]
    assert met.at_s <= one.started_s


def test_a_fault_whose_condition_never_holds_is_not_injected_and_proves_nothing(tmp_path: Path) -> None:
    when = {"of": "in_flight", "above": 400, "within": "1s"}
    fault = {"manifest": "NetworkChaos.yaml", "max_targets": 1, "when": when}
    target = FakeTarget()
    _, journal, error = run(tmp_path, target, fault)
    assert error is None
    assert journal is not None
    assert journal.faults == ()
    assert any("its condition was never met (in_flight above 400; it was" in why for why in journal.reasons)
    assert journal.exit_code is ExitCode.INCONCLUSIVE


def test_a_guard_that_trips_undoes_the_fault_and_ends_the_run_with_a_journal(tmp_path: Path) -> None:
    fault = {"manifest": "NetworkChaos.yaml", "max_targets": 1}
    lasting = {**fault, "at": "500ms"}
    target = FakeTarget()
    folder, journal, error = run(
        tmp_path, target, lasting, abort=[{"of": "in_flight", "below": 1000, "for": "300ms"}]
    )
    assert isinstance(error, AbortedError)
    assert error.exit_code == ExitCode.ABORTED
    assert journal is not None
    assert journal.exit_code is ExitCode.ABORTED
    assert any(
        why.startswith("a guard ended the run: in_flight below 1000 for 300ms") for why in journal.reasons
    )
    kinds = [event.kind for event in read_events(folder.events)]
    assert kinds.count("fault_injected") == kinds.count("fault_ended") == 1


def test_before_the_first_injection_no_guard_ends_a_run(tmp_path: Path) -> None:
    fault = {
        "manifest": "NetworkChaos.yaml",
        "max_targets": 1,
        "when": {"of": "in_flight", "above": 400, "within": "1s"},
    }
    _, journal, error = run(tmp_path, FakeTarget(), fault, abort=[{"of": "in_flight", "below": 1000}])
    assert error is None
    assert journal is not None


def test_a_fault_that_outlives_its_recovery_is_the_loudest_ending(tmp_path: Path) -> None:
    target = FakeTarget(stays=True)
    leave = target.effects.clear
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FakeTarget, "__exit__", lambda *_: leave())
        _, journal, error = run(tmp_path, target, {"manifest": "NetworkChaos.yaml", "max_targets": 1})
    assert isinstance(error, CleanupError)
    assert journal is not None
    assert (journal.exit_code, journal.faults[0].undone) == (ExitCode.CLEANUP_INCOMPLETE, False)
    assert "fault delay#1: it was undone, and is not proved to be over" in journal.reasons


def test_a_sham_can_pass_and_its_reports_say_that_nobody_was_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, journal, error = run(tmp_path, FakeTarget(), {"manifest": "Sham.yaml", "max_targets": 1})
    assert error is None
    assert journal is not None
    # On a machine that is busy the load itself may be late, and that is told as what it is.
    assert journal.verdict == "passed" or journal.reasons
    assert main(["report", str(folder.path)]) == journal.exit_code
    assert "1 of 2 replicas was left alone (sham)" in " ".join(capsys.readouterr().out.split())


def test_a_fault_that_is_aimed_and_injected_into_nobody_proves_nothing(tmp_path: Path) -> None:
    control = {"manifest": "NetworkChaos.yaml", "max_targets": 1, "control": True}
    _, journal, error = run(tmp_path, FakeTarget(), control)
    assert error is None
    assert journal is not None
    assert (journal.faults[0].verified, journal.exit_code) == (False, ExitCode.INCONCLUSIVE)
    assert "fault delay#1: not every target is proved to have been hit" in journal.reasons


def test_a_target_that_shows_neither_replicas_nor_counters_is_measured_by_its_rows_alone(
    tmp_path: Path,
) -> None:
    _, journal, error = run(tmp_path, Unseen(), {"manifest": "NetworkChaos.yaml", "max_targets": 1})
    assert error is None
    assert journal is not None
    assert (journal.wanted_replicas, journal.recovery.capacity_status) == (0, "unknown")
    assert journal.recovery.capacity_s_reason == "the target does not show its replicas"
    assert journal.reconciliation is None
    assert journal.reconciliation_reason == "no gateway told of itself, or the run did not come to ask it"
    assert journal.recovery.service_s is not None
    assert not any("replicas ready" in reason for reason in journal.reasons)


def test_what_an_early_end_left_unsent_counts_against_nobody(tmp_path: Path) -> None:
    slow = {"ttft": "1us", "e2e": "1s"}
    fault = {"manifest": "NetworkChaos.yaml", "max_targets": 1}
    folder, journal, error = run(tmp_path, FakeTarget(), fault, slo=slow)
    assert isinstance(error, RefusedError)
    assert journal is not None
    [baseline] = journal.phases
    assert journal.load.planned == 500
    assert baseline.n <= journal.load.sent < 200
    assert (baseline.failed, baseline.error_ratio) == (0, 0.0)
    assert baseline.ttft_p99_s is not None
    assert baseline.ttft_p99_s < 5
    assert journal.cut_short == str(error)
    assert (journal.exit_code, journal.faults) == (ExitCode.INCONCLUSIVE, ())
    assert len(read_columns(folder.requests)) == journal.load.planned == sum(journal.load.outcomes.values())


@pytest.mark.parametrize(
    "spoil", [lambda folder: folder.journal.unlink(), lambda _: None], ids=["lost", "there"]
)
def test_report_makes_the_same_journal_again_of_a_run_that_was_cut_short(
    tmp_path: Path, spoil: Callable[[RunFolder], None]
) -> None:
    slow = {"ttft": "1us", "e2e": "1s"}
    folder, journal, _ = run(tmp_path, FakeTarget(), {"manifest": "Sham.yaml", "max_targets": 1}, slo=slow)
    spoil(folder)
    assert main(["report", str(folder.path)]) == ExitCode.INCONCLUSIVE
    assert journals.read(folder.journal) == journal
    assert folder.report.is_file()
    assert {event.kind for event in read_events(folder.events)} >= {"target_opened", "load_started"}
