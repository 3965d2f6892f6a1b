"""What a run cost in processor time and how full the machine was: pure functions over samples of counters."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from chaos.measuring.timeline import Phase, Timeline

FULL_AT = 0.95
"""Between two samples a machine is full from this share of its cores on."""
FULL_SHARE = 0.1
"""A stretch is called full from this share of its time on: less of it decides neither a recovery nor a ratio."""
REPLICAS = "replicas"
"""The role whose time is also told per token: it makes them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters at one instant, each in seconds since some beginning that is the same for all samples of a run."""

    at_s: float
    """On the host's monotonic clock, or on the run clock once aligned."""
    machine_cores: int
    """Cores that this run may be scheduled on."""
    cores: float
    """The same, or the tightest CPU quota over the run where that is less."""
    busy_s: float
    """Of those cores, whoever used them."""
    steal_s: float
    """Of those cores, given by a hypervisor to others; 0 where none says so."""
    roles: Mapping[str, float]
    """Of all processes of a role that were ever seen, each with its last reading."""
    throttled_s: float | None = None
    """Of all periods of the quota that ended with it used up; None without a quota."""
    pressure_s: float | None = None
    """In which some runnable task waited for a core; None where the kernel does not say."""


@dataclass(frozen=True, slots=True)
class RoleCost:
    """What one role used in a stretch."""

    cores: float
    """Processor seconds per second."""
    ms_per_request: float | None
    """Per planned arrival; None where there is none."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How full the machine was in a stretch of the run, and with what."""

    phase: Phase
    """Ends where the samples do, if they end within it."""
    machine_cores: int
    cores: float
    busy_share: float
    """Of the machine's cores, or of the quota where that is fuller."""
    full_share: float
    """Of the stretch's time."""
    ours_cores: float
    others_cores: float
    """Busy, and nobody's of ours: other people's work, and what of ours ended unseen between two samples."""
    steal_cores: float
    throttled_share: float | None
    """Of the stretch's time; None without a quota."""
    pressure_share: float | None
    roles: Mapping[str, RoleCost]
    ms_per_token: float | None
    """The replicas' time per token that reached a client; None where none did."""

    @property
    def full(self) -> bool:
        """Whether contention may decide what is measured here."""
        return self.full_share >= FULL_SHARE

    @property
    def why(self) -> str:
        """Who used the cores: `1.62 of 2 cores ours, 0.37 somebody else's`."""
        parts = [
            f"{self.ours_cores:.2f} of {self.cores:g} cores ours, {self.others_cores:.2f} somebody else's"
        ]
        if self.steal_cores >= 0.01:
            parts.append(f"{self.steal_cores:.2f} kept by the host")
        if self.throttled_share:
            parts.append(f"quota used up for {self.throttled_share:.0%} of the time")
        return ", ".join(parts)


def read_samples(path: Path, run_start_monotonic_s: float) -> tuple[Sample, ...]:
    """The samples of a file on the run clock, whose zero was that instant; empty when there is no such file.

    Raises:
        ValueError: a complete line is no sample.
    """
    if not path.is_file():
        return ()
    with path.open() as lines:
        samples = [_from_line(line) for line in lines if line.endswith("\n")]
    return tuple(replace(sample, at_s=sample.at_s - run_start_monotonic_s) for sample in samples)


def to_line(sample: Sample) -> str:
    """One JSON object, no newline."""
    row = asdict(sample)
    row["roles"] = {role: round(spent_s, 3) for role, spent_s in sample.roles.items()}
    return json.dumps({key: round(v, 6) if isinstance(v, float) else v for key, v in row.items()})


def of_phase(samples: Sequence[Sample], timeline: Timeline, phase: Phase) -> Usage | None:
    """The usage of any stretch of the run, or of the part of it that was sampled; None where there is none."""
    if len(samples) < 2:
        return None
    start_s, end_s = max(phase.start_s, samples[0].at_s), min(phase.end_s, samples[-1].at_s)
    if end_s <= start_s:
        return None
    phase = replace(phase, start_s=start_s, end_s=end_s)
    first, last = (_at(samples, at_s) for at_s in (phase.start_s, phase.end_s))
    arrivals, token_s = timeline.rows.between(phase.start_s, phase.end_s), timeline.rows.token_s
    requests = arrivals.stop - arrivals.start
    tokens = int(np.sum((phase.start_s <= token_s) & (token_s < phase.end_s)))
    roles = {
        role: RoleCost(spent_s / phase.length_s, 1000 * spent_s / requests if requests else None)
        for role, spent_s in _spent(first, last).items()
    }
    made_s = _spent(first, last).get(REPLICAS)
    steal_s, pressure_s = last.steal_s - first.steal_s, _difference(first.pressure_s, last.pressure_s)
    throttled_s = _difference(first.throttled_s, last.throttled_s)
    return Usage(
        phase=phase,
        machine_cores=last.machine_cores,
        cores=last.cores,
        busy_share=_busy_share(first, last),
        full_share=_full_s(samples, phase) / phase.length_s,
        ours_cores=sum(role.cores for role in roles.values()),
        others_cores=max(0.0, _others_s(first, last)) / phase.length_s,
        steal_cores=steal_s / phase.length_s,
        throttled_share=None if throttled_s is None else min(1.0, throttled_s / phase.length_s),
        pressure_share=None if pressure_s is None else min(1.0, pressure_s / phase.length_s),
        roles=roles,
        ms_per_token=1000 * made_s / tokens if tokens and made_s is not None else None,
    )


def _full_s(samples: Sequence[Sample], phase: Phase) -> float:
    """Seconds of the phase in which nobody of ours could have had more processor time."""
    first = max(0, bisect_right(samples, phase.start_s, key=_at_s) - 1)
    last = bisect_left(samples, phase.end_s, key=_at_s) + 1
    full_s = 0.0
    for before, after in pairwise(samples[first:last]):
        length_s = after.at_s - before.at_s
        within_s = min(after.at_s, phase.end_s) - max(before.at_s, phase.start_s)
        if length_s > 0 and within_s > 0:
            full_s += within_s * _full_of(before, after)
    return full_s


def _full_of(before: Sample, after: Sample) -> float:
    """The share of the time between two samples that was full: all of it, or the periods whose quota was used up."""
    if _busy_share(before, after) >= FULL_AT:
        return 1.0
    throttled_s = _difference(before.throttled_s, after.throttled_s)
    return min(1.0, (throttled_s or 0.0) / (after.at_s - before.at_s))


def _busy_share(before: Sample, after: Sample) -> float:
    """How near the cores were to giving no more: those of the machine, or those of the quota."""
    length_s = after.at_s - before.at_s
    # What a hypervisor keeps is as good as used: nobody here can have it.
    machine_s = after.busy_s - before.busy_s + after.steal_s - before.steal_s
    ours_s = sum(_spent(before, after).values())
    return min(1.0, max(machine_s / after.machine_cores, ours_s / after.cores) / length_s)


def _others_s(first: Sample, last: Sample) -> float:
    return last.busy_s - first.busy_s - sum(_spent(first, last).values())


def _spent(first: Sample, last: Sample) -> dict[str, float]:
    # A process that changed its role takes its time along, and the role that it left goes back by that.
    return {role: max(0.0, spent_s - first.roles.get(role, 0.0)) for role, spent_s in last.roles.items()}


def _difference(first: float | None, last: float | None) -> float | None:
    return None if first is None or last is None else last - first


def _at(samples: Sequence[Sample], at_s: float) -> Sample:
    """The counters at an instant that the samples cover: between two of them, time passes evenly."""
    index = min(len(samples) - 1, max(1, bisect_left(samples, at_s, key=_at_s)))
    before, after = samples[index - 1], samples[index]
    share = (at_s - before.at_s) / (after.at_s - before.at_s)

    def between(first: float, last: float) -> float:
        return first + share * (last - first)

    def known(first: float | None, last: float | None) -> float | None:
        return None if first is None or last is None else between(first, last)

    return Sample(
        at_s=at_s,
        machine_cores=after.machine_cores,
        cores=after.cores,
        busy_s=between(before.busy_s, after.busy_s),
        steal_s=between(before.steal_s, after.steal_s),
        roles={role: between(before.roles.get(role, 0.0), spent_s) for role, spent_s in after.roles.items()},
        throttled_s=known(before.throttled_s, after.throttled_s),
        pressure_s=known(before.pressure_s, after.pressure_s),
    )


def _from_line(line: str) -> Sample:
    row = json.loads(line)
    try:
        return Sample(**row)
    except TypeError as error:
        raise ValueError(f"not a sample of the processor: {error}") from error


def _at_s(sample: Sample) -> float:
    return sample.at_s
