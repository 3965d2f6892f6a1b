"""A catalogue measures what a cluster carries once for all experiments whose clusters are alike."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaos import catalogue
from chaos.experiment.experiment import Experiment, read_experiment, rewrite, write_as_run
from chaos.load.alike import Alike, to_be_measured
from chaos.load.capacity import Capacity
from chaos.load.rate import settle
from chaos.reading.quantities import CapacityShare
from chaos.record.costs import Processor, ProcessorPhase
from chaos.run_folder import RunFolder
from tests.test_chaos_run import EXPERIMENT, write_experiment

SHARED = EXPERIMENT.replace("rate: 25", "rate: 60% of capacity")


def experiment(folder: Path, text: str = SHARED) -> Experiment:
    return read_experiment(write_experiment(folder, text))


def run_of(one: Experiment, folder: Path, per_s: float) -> RunFolder:
    """What a run leaves that measured that its cluster carries so much."""
    folder.mkdir()
    left = RunFolder(folder)
    copy = write_as_run(one, left.experiment, seed=5, versions={})
    assert isinstance(copy.spec.load.rate, CapacityShare)
    found = Capacity(per_s, at_least=False, arrivals=140, good=90, took_s=9.9)
    rewrite(copy, settle(copy.spec, copy.assertions, copy.spec.load.rate, found))
    left.capacity_rows(1).touch()
    return left


@pytest.fixture
def alike(tmp_path: Path) -> Alike:
    """Knows that the cluster of `SHARED` carries 40 requests per second."""
    known, first = Alike(), experiment(tmp_path / "first")
    assert known.settled(first) == first
    known.learn(first, run_of(first, tmp_path / "run", 40.0), None)
    return known


def test_what_one_run_measured_is_the_rate_of_the_next_by_its_own_share(tmp_path: Path, alike: Alike) -> None:
    settled = alike.settled(experiment(tmp_path / "next", SHARED.replace("60% of", "50% of"))).spec
    assert settled.load.rate_per_s == 20.0
    assert settled.load.capacity is not None
    assert (settled.load.capacity.measured, settled.load.capacity.share) == (40.0, 0.5)
    assert settled.phases.baseline_s > 20.0, "it grows for the P99 claim as in a run that measures"
    assert settled.load.capacity.baseline_grew_from_s == 20.0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("replicas: 3", "replicas: 2"),
        ("output_tokens: 8", "output_tokens: 9"),
        ("slo: {ttft: 2s", "slo: {ttft: 1s"),
    ],
    ids=["another cluster", "other traffic", "other objectives"],
)
def test_a_cluster_that_is_not_alike_is_measured_anew(
    tmp_path: Path, alike: Alike, old: str, new: str
) -> None:
    assert SHARED.count(old) == 1
    other = experiment(tmp_path / "other", SHARED.replace(old, new))
    assert alike.settled(other) == other


@pytest.mark.parametrize(
    ("full", "others_cores", "rate_per_s"), [(False, 1.5, 48.0), (True, 0.1, 48.0), (True, 0.5, 24.0)]
)
def test_what_a_cluster_carried_while_others_had_the_machine_is_not_taken_for_what_it_carries(
    tmp_path: Path, alike: Alike, *, full: bool, others_cores: float, rate_per_s: float
) -> None:
    other: dict[str, Any] = {"name": "recovery", "full": True, "others_cores": 2.0, "cores": 2.0}
    phases: list[dict[str, Any]] = [
        {"name": "baseline", "full": full, "others_cores": others_cores, "cores": 2.0},
        other,
    ]
    processor = Processor.model_construct(phases=[ProcessorPhase.model_construct(**one) for one in phases])
    again = experiment(tmp_path / "again")
    alike.learn(again, run_of(again, tmp_path / "busy", 80.0), processor)
    assert alike.settled(again).spec.load.rate_per_s == rate_per_s


def test_a_number_stays_as_it_is_written(tmp_path: Path, alike: Alike) -> None:
    given = experiment(tmp_path / "given", EXPERIMENT)
    assert alike.settled(given).spec == given.spec


def test_an_experiment_that_cannot_be_decided_at_that_rate_measures_for_itself(
    tmp_path: Path, alike: Alike
) -> None:
    slow = experiment(
        tmp_path / "slow", SHARED.replace("error_ratio(all) <= 50%", "p99(ttft, after(10s)) <= 2s")
    )
    assert alike.settled(slow) == slow


def test_a_catalogue_takes_longer_for_each_kind_of_cluster_that_it_measures(tmp_path: Path) -> None:
    first = experiment(tmp_path / "in")
    other = experiment(tmp_path / "other", SHARED.replace("replicas: 3", "replicas: 2"))
    given = experiment(tmp_path / "given", EXPERIMENT)
    assert to_be_measured([first, replace(first, assertions=()), given]) == 1
    assert to_be_measured([first, other]) == 2
    listed = [catalogue.Listed(each, ()) for each in (first, first, other, given)]
    alone = [catalogue.takes_s([one]) for one in listed]
    assert alone[0] > listed[0].lasts_s
    assert sum(alone) - catalogue.takes_s(listed) == pytest.approx(alone[0] - alone[3])
    assert catalogue.takes_s([catalogue.Listed(first, ("a GPU",))]) == 0
