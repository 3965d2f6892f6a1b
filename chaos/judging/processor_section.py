"""The part of the journal that says what a request cost and how full the machine was."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from chaos.judging.contention import note
from chaos.measuring.measurements import Measurements
from chaos.measuring.processor import FULL_AT, FULL_SHARE, Sample, Usage, of_phase

_REASONS = {
    "throttled_share": "no CPU quota is over this run",
    "pressure_share": "this kernel does not tell pressure",
    "ms_per_token": "no token reached a client in this phase",
}


def section(samples: Sequence[Sample], measurements: Measurements) -> dict[str, Any] | None:
    """The section, every phase of the run in it and `all` last; None without samples over any of them."""
    phases = [slis.phase for slis in (*measurements.phases, measurements.phase("all")) if slis is not None]
    found = {phase.name: of_phase(samples, measurements.timeline, phase) for phase in phases}
    known = [usage for usage in found.values() if usage is not None]
    if not known:
        return None
    said = note(known)
    return {
        "machine_cores": known[-1].machine_cores,
        "cores": known[-1].cores,
        "full_at": FULL_AT,
        "note": said,
        **({} if said else {"note_reason": f"full for less than {FULL_SHARE:.0%} of every phase"}),
        "phases": [_phase(usage) for usage in known],
        "unknown": {name: "no samples" for name, usage in found.items() if usage is None},
    }


def _phase(usage: Usage) -> dict[str, Any]:
    measured = asdict(usage)
    phase = measured.pop("phase")
    reasons = {f"{key}_reason": reason for key, reason in _REASONS.items() if measured[key] is None}
    roles = {
        role: cost
        | ({"ms_per_request_reason": "no planned arrival"} if cost["ms_per_request"] is None else {})
        for role, cost in measured.pop("roles").items()
    }
    return {**phase, "full": usage.full, "why": usage.why, **measured, **reasons, "roles": roles}
