"""Clusters that are alike carry the same: what one run of a catalogue has measured, the next need not measure again."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from chaos.errors import RefusedError
from chaos.experiment.design import require_decidable_at
from chaos.experiment.experiment import Experiment, read_experiment
from chaos.experiment.file import MeasuredCapacity
from chaos.load.rate import settle_like
from chaos.reading.quantities import CapacityShare
from chaos.record.costs import Processor
from chaos.run_folder import RunFolder

_OTHERS = 0.1
"""More of the cores than this are others' where the machine is shared."""


@dataclass(frozen=True, slots=True)
class Alike:
    """What clusters carried so far, under what traffic, within which objectives."""

    _known: dict[str, MeasuredCapacity] = field(default_factory=dict)

    def learn(self, experiment: Experiment, folder: RunFolder, processor: Processor | None) -> None:
        """Take in what the run of an experiment measured; nothing where others had the machine, or it measured nothing.

        Args:
            experiment: as its file has it.
            folder: what its run left.
            processor: who used the machine then.
        """
        if folder.capacity_rows(1).is_file() and not _taken(processor):
            found = read_experiment(folder.experiment).spec.load.capacity
            if found is not None:
                self._known[likeness(experiment)] = found

    def settled(self, experiment: Experiment) -> Experiment:
        """The experiment with a number as its rate, where that is a share of what is known; as it is otherwise."""
        known = self._known.get(likeness(experiment))
        if known is None:
            return experiment
        spec = settle_like(experiment.spec, experiment.assertions, known)
        try:
            require_decidable_at(spec, experiment.assertions)
        except RefusedError:  # too slow for its claims: its own run shall measure it, and say so
            return experiment
        return replace(experiment, spec=spec)


def _taken(processor: Processor | None) -> bool:
    """Whether others had so much of a full machine in the baseline that they decided what was carried."""
    phases = () if processor is None else processor.phases
    return any(
        one.name == "baseline" and one.full and one.others_cores > _OTHERS * one.cores for one in phases
    )


def likeness(experiment: Experiment) -> str:
    """What clusters must have in common to carry the same: all that they are, their traffic, what counts as good."""
    spec = experiment.spec
    said = {
        "target": spec.target.model_dump(mode="json"),
        "load": spec.load.model_dump(mode="json", exclude={"rate", "capacity"}),
        "slo": spec.slo.model_dump(mode="json"),
    }
    return json.dumps(said, sort_keys=True)


def to_be_measured(experiments: Iterable[Experiment]) -> int:
    """How many of them, run one after another, measure what their cluster carries."""
    shares = [one for one in experiments if isinstance(one.spec.load.rate, CapacityShare)]
    return len({likeness(one) for one in shares})
