"""Made-up samples of the processor over a made-up run with a kill: what tests of usage and contention share."""

from collections.abc import Callable, Mapping

from chaos.measuring.measurements import Measurements
from chaos.measuring.processor import Sample, Usage, of_phase
from chaos.measuring.timeline import Phase

BASELINE = Phase("baseline", 5.0, 39.0)
Rates = Callable[[float], Mapping[str, float]]
"""By an instant: cores that are busy, each role's, and what is throttled and stolen."""


def samples(rates: Rates, until_s: float = 62, *, cores: float = 2.0, quota: bool = False) -> list[Sample]:
    """One a second on the run clock, from one before its beginning."""
    found = [Sample(-1.0, 2, cores, 100.0, 0.0, {"replicas": 7.0}, 0.0 if quota else None, 0.0)]
    while (at_s := found[-1].at_s) < until_s:
        last, rate = found[-1], {"busy": 0.0, "steal": 0.0, "throttled": 0.0, **rates(at_s)}
        roles = {role: value for role, value in rate.items() if role not in ("busy", "steal", "throttled")}
        found.append(
            Sample(
                at_s + 1,
                2,
                cores,
                last.busy_s + rate["busy"],
                last.steal_s + rate["steal"],
                {role: last.roles.get(role, 0.0) + value for role, value in roles.items()},
                None if last.throttled_s is None else last.throttled_s + rate["throttled"],
                None if last.pressure_s is None else last.pressure_s + rate["busy"] / 4,
            )
        )
    return found


def always(**rates: float) -> Rates:
    return lambda _: rates


def full_from(start_s: float, end_s: float, **ours: float) -> Rates:
    """Somebody takes what we leave of two cores in a stretch; outside it the machine is half idle."""
    ours = ours or {"replicas": 0.75}
    return lambda at_s: {"busy": 2.0 if start_s <= at_s < end_s else 1.0, **ours}


def usage(found: list[Sample], run: Measurements, phase: Phase = BASELINE) -> Usage:
    usage = of_phase(found, run.timeline, phase)
    assert usage is not None
    return usage
