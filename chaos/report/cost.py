"""What a request cost and how full the machine was, in words: the note beside the verdict, and one table."""

from collections.abc import Callable, Sequence

from chaos.record.costs import ProcessorPhase, RoleCost
from chaos.record.journal import Journal
from chaos.record.verdict import Verdict
from chaos.report.words import plain, seconds, share

_ROLES = ("replicas", "standby", "gateway", "proxy", "load", "prober", "prometheus", "supervisor", "runner")
"""In the order of the table; a target's other roles follow by name."""

Row = tuple[str, Sequence[str]]


def note(journal: Journal) -> str | None:
    """The sentence that must stand beside the verdict; None when the machine was not full, or nobody knows."""
    said = journal.processor.note if journal.processor else None
    if said is None:
        return None
    worse = "; contention can only have made it worse" if journal.verdict is Verdict.PASSED else ""
    return f"{said[0].upper()}{said[1:]}{worse}."


def phases(journal: Journal) -> Sequence[str]:
    """The phases that are columns of the table; none when the processor was not sampled."""
    return [phase.name for phase in journal.processor.phases] if journal.processor else []


def rows(journal: Journal) -> Sequence[Row]:
    """Each row's name, and a cell per phase: the roles, then the machine."""
    if journal.processor is None:
        return []
    found = journal.processor.phases
    named = {role for phase in found for role in phase.roles}
    ordered = [role for role in _ROLES if role in named] + sorted(named.difference(_ROLES))
    every: list[tuple[str, Callable[[ProcessorPhase], str]]] = [
        ("ours together", lambda phase: _cores(phase.ours_cores)),
        ("somebody else's", lambda phase: _cores(phase.others_cores)),
        (f"busy, of {plain(journal.processor.cores)} cores", lambda phase: share(phase.busy_share)),
        ("time that was full", lambda phase: share(phase.full_share)),
        ("replicas, per token", lambda phase: _milliseconds(phase.ms_per_token)),
    ]
    known: list[tuple[str, Callable[[ProcessorPhase], float | None]]] = [
        ("quota used up", lambda phase: phase.throttled_share),
        ("pressure: somebody waited", lambda phase: phase.pressure_share),
    ]
    return [
        *((role, [_cost(phase.roles.get(role)) for phase in found]) for role in ordered),
        *((name, [cell(phase) for phase in found]) for name, cell in every),
        *(
            (name, [share(of(phase)) for phase in found])
            for name, of in known
            if any(of(phase) is not None for phase in found)
        ),
    ]


def _cost(cost: RoleCost | None) -> str:
    if cost is None:
        return plain(None)
    each = cost.ms_per_request
    return _cores(cost.cores) if each is None else f"{_cores(cost.cores)}, {_milliseconds(each)}"


def _cores(value: float) -> str:
    """To the hundredth of a core: counters tick no finer."""
    return f"{value:.2f} cores"


def _milliseconds(value: float | None) -> str:
    return seconds(None if value is None else value / 1000)
