"""The figures of a report's head, each with what it rests on."""

import math
from dataclasses import dataclass

from chaos.measuring.recovery_time import Status
from chaos.record.journal import Journal
from chaos.record.sections import Phase, Recovery
from chaos.report import disturbances, few, story
from chaos.report.words import between, count, plain, seconds, share


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the page's head."""

    title: str
    value: str
    terms: str
    """What the figure rests on, or why there is none."""
    weak: bool = False
    """Whether that is too little for such a figure."""


def tiles(journal: Journal) -> list[Tile]:
    """The figures that most readers come for."""
    planned = count(journal.load.planned, "planned arrival")
    if journal.observes:
        return _observation_tiles(journal)
    return [
        _recovery_tile(journal, "service", "Goodput back after"),
        _recovery_tile(journal, "capacity", "Capacity back after"),
        _detection_tile(journal.recovery),
        Tile("Requests lost", plain(journal.recovery.lost_requests), f"of {planned}"),
        *(_ttft_tile(phase, f"TTFT p99, {phase.name}") for phase in journal.phases[:2]),
    ]


def _observation_tiles(journal: Journal) -> list[Tile]:
    found = disturbances.of_run(journal)
    longest_s = max((one.length_s for one in found), default=None)
    whole = journal.phases[0]
    return [
        Tile("Disturbances", plain(len(found)), "whoever caused them"),
        Tile("The longest", seconds(longest_s), "from the first bad request to the hold"),
        Tile("Requests not good", plain(whole.n - whole.good), f"of {whole.n:,} after the warm-up"),
        _ttft_tile(whole, "TTFT p99"),
    ]


def _ttft_tile(phase: Phase, title: str) -> Tile:
    """Of few requests it is the slowest one or two of them, and stands there as that."""
    rests_on = f"goodput {share(phase.goodput)}, n = {phase.n}"
    weak = few.is_weak(phase.ttft_p99_s, phase.n)
    return Tile(
        title, few.p99(phase.ttft_p99_s, phase.n), f"{rests_on}: {few.FEW}" if weak else rests_on, weak
    )


def _recovery_tile(journal: Journal, name: str, title: str) -> Tile:
    recovery = journal.recovery
    terms = {
        "service": f"{seconds(recovery.service_s)}, at least 95 %: {_range(recovery)}{story.relapse(recovery)}",
        "capacity": "all wanted replicas ready and serving",
    }
    untouched = _no_impact(recovery) if name == "service" else "every wanted replica stayed ready"
    held = terms[name] if recovery.status(name) is Status.RECOVERED else untouched
    return Tile(title, story.recovery_value(journal, name), recovery.reason(name) or held)


def _detection_tile(recovery: Recovery) -> Tile:
    """Beside what users felt and when capacity was back: when the cluster knew."""
    known_s = recovery.detection_s
    value = "never" if known_s == math.inf else seconds(known_s)
    return Tile("Known to the cluster after", value, recovery.detection_s_reason or "")


def _range(recovery: Recovery) -> str:
    return between(recovery.service_interval_s, "duration") or "not known"


def _no_impact(recovery: Recovery) -> str:
    told = recovery.service_interval_s
    if told is None or not math.isfinite(told[1]):
        return "never out of tolerance"
    return f"never out of tolerance; if there was an impact, it was over within {seconds(told[1])}"
