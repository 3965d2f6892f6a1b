"""The part of the journal that says what a request cost and how full the machine was."""

from collections.abc import Sequence
from dataclasses import asdict

from chaos.judging.contention import note
from chaos.measuring.measurements import Measurements
from chaos.measuring.processor import FULL_AT, FULL_SHARE, Sample, Usage, of_phase
from chaos.record.costs import Processor, ProcessorPhase, RoleCost

_REASONS = {
    "throttled_share": "no CPU quota is over this run",
    "pressure_share": "this kernel does not tell pressure",
    "ms_per_token": "no token reached a client in this phase",
}


def section(samples: Sequence[Sample], measurements: Measurements) -> Processor | None:
    """The section, every phase of the run in it and `all` last; None without samples over any of them.

    Single occurrences of faults are not in it: they lie within the fault phase.
    """
    every = [slis.phase for slis in (*measurements.phases, measurements.phase("all")) if slis is not None]
    phases = [phase for phase in every if phase.of_occurrence is None]
    found = {phase.name: of_phase(samples, measurements.timeline, phase) for phase in phases}
    known = [usage for usage in found.values() if usage is not None]
    if not known:
        return None
    values = {
        "machine_cores": known[-1].machine_cores,
        "cores": known[-1].cores,
        "full_at": FULL_AT,
        "note": note(known),
        "phases": [_phase(usage) for usage in known],
        "unknown": {name: "no samples" for name, usage in found.items() if usage is None},
    }
    return Processor.of(values, {"note": f"full for less than {FULL_SHARE:.0%} of every phase"})


def _phase(usage: Usage) -> ProcessorPhase:
    measured = asdict(usage)
    phase = measured.pop("phase")
    no_request = {"ms_per_request": "no planned arrival"}
    roles = {role: RoleCost.of(cost, no_request) for role, cost in measured.pop("roles").items()}
    facts = {"full": usage.full, "why": usage.why, "roles": roles}
    return ProcessorPhase.of({**phase, **facts, **measured}, _REASONS)
