"""The section of a journal about the objectives: which share of the requests of each phase met which."""

from collections.abc import Mapping

import numpy as np

from chaos.measuring.evidence import met
from chaos.measuring.measurements import Measurements, PhaseSlis
from chaos.record.attained import Attained
from exporters.slo import GOODPUT


def section(measurements: Measurements, wanted: Mapping[str, float]) -> list[Attained]:
    """Each objective in each phase, and in all of the run after its warm-up.

    Args:
        measurements: of the run.
        wanted: by objective, the share of requests that is to meet it.
    """
    found, objectives = measurements.evidence, measurements.objectives
    flags = {**met(found.rows, objectives), GOODPUT.name: found.good}
    bounds_s = {name: getattr(objectives, f"{name}_s", None) for name in flags}
    return [
        _attained(name, slis, bounds_s[name], wanted.get(name), int(np.sum(of_each[places])), len(places))
        for name, of_each in flags.items()
        for slis in _phases(measurements)
        for places in (found.within(slis.phase),)
    ]


def _phases(measurements: Measurements) -> list[PhaseSlis]:
    whole = measurements.phase("all")
    phases = [slis for slis in measurements.phases if slis.phase.of_occurrence is None]
    return [*phases, whole] if whole is not None and len(phases) > 1 else phases


def _attained(
    name: str, slis: PhaseSlis, bound_s: float | None, wanted: float | None, met_by: int, n: int
) -> Attained:
    values = {
        "objective": name,
        "phase": slis.phase.name,
        "bound_s": bound_s,
        "wanted": wanted,
        "n": n,
        "met": met_by,
        "attained": met_by / n if n else None,
    }
    reasons = {
        "bound_s": "to be answered is all that counts" if name != GOODPUT.name else "those of the others",
        "wanted": "nobody said how many are to meet it",
        "attained": "no planned arrival in this phase",
    }
    return Attained.of(values, reasons)
