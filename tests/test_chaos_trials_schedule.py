"""What a series will do: order, seeds and instants by one seed, and the experiment that each trial runs."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chaos.experiment.experiment import Experiment, read_experiment
from chaos.faults.fault import Fault
from chaos.record.trials import Trial, TrialState
from chaos.run_folder import SeriesFolder
from chaos.trials.schedule import schedule, shams_of
from chaos.trials.variation import first_fault_s, write_templates, write_trial

SHIPPED = Path(__file__).parent.parent / "chaos/experiments"


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(0, 40))
def test_a_schedule_has_every_trial_once_with_a_seed_of_its_own(seed: int, faults: int, shams: int) -> None:
    trials = schedule(seed, faults, shams)
    assert trials == schedule(seed, faults, shams)
    assert [trial.number for trial in trials] == [*range(1, faults + shams + 1)]
    assert sum(trial.sham for trial in trials) == shams
    assert len({trial.seed for trial in trials}) == len({trial.folder for trial in trials}) == len(trials)


def test_shams_lie_anywhere() -> None:
    schedules = [schedule(seed, 20, 5) for seed in range(300)]
    at = [trial.number for trials in schedules for trial in trials if trial.sham]
    assert all(30 <= at.count(number) <= 95 for number in range(1, 26))


def test_instants_fill_the_range_that_was_asked_for(tmp_path: Path) -> None:
    own, _ = templates(SHIPPED / "pod-kill-30.yaml", tmp_path / "series", jitter_s=2.0)
    after_s = sorted(first_fault_s(own, trial.seed) for trial in schedule(7, 400, 0))
    assert 0 <= after_s[0] < 0.05
    assert after_s[200] == pytest.approx(1.0, abs=0.15)
    assert 1.95 < after_s[-1] <= 2


@pytest.mark.parametrize(
    ("asked", "trials", "shams"),
    [(3, 20, 3), (0, 20, 0), (0.2, 20, 4), (0.2, 2, 1), (0.0, 20, 0), (1.0, 5, 5)],
)
def test_shams_are_a_number_or_a_share_of_the_trials(asked: float, trials: int, shams: int) -> None:
    assert shams_of(asked, trials) == shams


def templates(experiment: Path, folder: Path, jitter_s: float | None = None) -> tuple[Experiment, Experiment]:
    folder.mkdir()
    return write_templates(
        read_experiment(experiment),
        SeriesFolder(folder),
        seed=7,
        jitter_s=jitter_s,
        versions={"aftershock": "1"},
    )


def one(*, sham: bool) -> Trial:
    return Trial(number=1, folder="trial-01", sham=sham, seed=99, state=TrialState.PLANNED)


@pytest.mark.parametrize("name", ["pod-kill-30", "network-delay", "external", "sham"])
def test_a_trial_runs_the_experiment_with_its_own_seed_and_so_at_its_own_instant(
    name: str, tmp_path: Path
) -> None:
    original = read_experiment(SHIPPED / f"{name}.yaml")
    own, _ = both = templates(SHIPPED / f"{name}.yaml", tmp_path / "series")
    trial = write_trial(both, one(sham=False), SeriesFolder(tmp_path / "series").trial("trial-01"), {})
    assert trial.spec.seed == 99
    assert own.spec.seed == 7
    assert trial.spec.entries[0].model_copy(update={"manifest": ""}) == original.spec.entries[0].model_copy(
        update={"manifest": ""}
    )
    assert trial.timetable().steps[0].at_s == pytest.approx(
        trial.spec.phases.warmup_s + trial.spec.phases.baseline_s + first_fault_s(own, 99)
    )
    assert trial.faults[0].fault.kind == original.faults[0].fault.kind
    assert trial.spec.phases.observe_s >= original.spec.phases.observe_s
    assert trial.spec.load == original.spec.load
    assert trial.spec.assertions == original.spec.assertions


def aim(fault: Fault) -> object:
    chosen = fault.selection
    return chosen and (chosen.selector, chosen.mode, chosen.value)


@pytest.mark.parametrize("name", ["pod-kill-30", "network-delay", "external", "sham"])
def test_a_sham_is_the_same_experiment_aimed_at_the_same_with_nothing_done(name: str, tmp_path: Path) -> None:
    both = templates(SHIPPED / f"{name}.yaml", tmp_path / "series")
    sham = write_trial(both, one(sham=True), SeriesFolder(tmp_path / "series").trial("trial-01"), {})
    own = write_trial(both, one(sham=False), SeriesFolder(tmp_path / "series").trial("trial-02"), {})
    for values in (own.spec, sham.spec):
        assert values.model_copy(update={"fault": None}) == own.spec.model_copy(update={"fault": None})
    [nothing], [fault] = sham.faults, own.faults
    assert nothing.fault.kind.label == ("Command" if name == "external" else "Sham")
    assert aim(nothing.fault) == aim(fault.fault)
    assert nothing.radius == fault.radius
    if fault.fault.kind.lasts:
        assert nothing.fault.duration_s == fault.fault.duration_s


def test_the_sham_of_a_command_touches_a_file_of_the_series_and_nothing_else(tmp_path: Path) -> None:
    templates(SHIPPED / "external.yaml", tmp_path / "the series")
    spec = yaml.safe_load((tmp_path / "the series" / "sham-1.yaml").read_text())["spec"]
    mark = f"'{tmp_path}/the series/sham-in-force'"
    assert [spec[name][-1] for name in ("do", "prove", "undo")] == [
        f"touch {mark}",
        f"test -e {mark}",
        f"rm -f {mark}",
    ]


def test_several_faults_are_each_replaced(tmp_path: Path) -> None:
    text = (SHIPPED / "network-delay.yaml").read_text()
    values = yaml.safe_load(text)
    fault = values.pop("fault")
    fault["manifest"] = str(SHIPPED / fault["manifest"])
    kill = {**fault, "manifest": str(SHIPPED / "../manifests/pod-kill-30.yaml"), "at": "3s"}
    values["faults"] = [fault, kill]
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(values))
    both = templates(path, tmp_path / "series")
    sham = write_trial(both, one(sham=True), SeriesFolder(tmp_path / "series").trial("trial-01"), {})
    assert [planned.fault.name for planned in sham.faults] == ["sham-delay-30", "sham-pod-kill-30"]
    assert [entry.at_s for entry in sham.spec.faults] == [0, 3]
