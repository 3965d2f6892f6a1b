"""What some runs have and others have not: the server's own times, tokens, cold starts, parts of a load, StatusChecks.

Only what has a value is shown; the journal says of the rest why it has none.
"""

from collections.abc import Callable, Sequence

from chaos.record.journal import Journal
from chaos.record.sections import Phase, StatusCheck
from chaos.report import few
from chaos.report.tiles import Tile
from chaos.report.words import NOTHING, instant, plain, seconds, share

COLD_START_HEADS = (
    "replica",
    "created at",
    "scheduled",
    "image pulled",
    "process running",
    "ready",
    "first token",
)
PART_HEADS = ("part", "phase", "n", "goodput", "TTFT p50", "TTFT p99", "errors")

STATUS_CHECK_HEADS = (
    "StatusCheck",
    "of",
    "asked",
    "from",
    "to",
    "good",
    "bad",
    "last saw",
    "over because",
    "so",
)


def tiles(journal: Journal) -> list[Tile]:
    """Of recoveries that not every cluster has: caches that are warm again, and new replicas that are up."""
    recovery, found = journal.recovery, []
    if recovery.cache_s is not None:
        low_s, high_s = recovery.cache_interval_s or (0.0, 0.0)
        terms = recovery.cache_s_reason or (
            f"{seconds(low_s)} to {seconds(high_s)}: {share(recovery.cache)} of the baseline's hit ratio, by the "
            "server's own series"
        )
        found.append(Tile("Caches warm after", _recovered(recovery.cache_s), terms))
    if recovery.cold_starts:
        number = len(recovery.cold_starts)
        terms = f"from creation to readiness, the slowest of {number} new replica{'s' if number > 1 else ''}"
        found.append(Tile("Cold start", _recovered(recovery.cold_start_s), terms))
    return found


def of_phases(journal: Journal) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The phases, and for each figure that some phase has its name and its value in each."""
    phases = [phase for phase in journal.phases if not phase.of_occurrence]
    rows = [
        (name, *(says(phase) for phase in phases))
        for key, name, says in _OF_PHASES
        if any(getattr(phase, key) is not None for phase in phases)
    ]
    return tuple(phase.name for phase in phases), rows


def cold_starts(journal: Journal) -> list[tuple[str, ...]]:
    """Each new replica's steps, in seconds since its creation."""
    return [
        (
            one.replica,
            instant(one.created_s),
            *(seconds(value) for value in (one.scheduled_s, one.pulled_s, one.running_s, one.ready_s)),
            seconds(one.first_token_s),
        )
        for one in journal.recovery.cold_starts or ()
    ]


def parts(journal: Journal) -> list[tuple[str, ...]]:
    """Each part of the load in each phase."""
    return [
        (
            ", ".join(filter(None, (one.profile, one.tenant))) or "the rest",
            one.phase,
            plain(one.n),
            share(one.goodput),
            seconds(one.ttft_p50_s),
            few.p99(one.ttft_p99_s, one.n),
            share(one.error_ratio),
        )
        for one in journal.parts or ()
    ]


def status_checks(journal: Journal) -> list[tuple[str, ...]]:
    """What each StatusCheck of a Workflow asked and saw, and what came of it."""
    return [
        (
            one.id,
            one.workflow,
            one.asks,
            instant(one.began_s),
            instant(one.ended_s),
            plain(one.good),
            plain(one.bad),
            one.saw or NOTHING,
            one.how,
            _consequence(one),
        )
        for one in journal.status_checks
    ]


def _consequence(check: StatusCheck) -> str:
    if not check.aborted:
        return "the Workflow went on"
    withheld = f"; not injected: {', '.join(check.withheld)}" if check.withheld else ""
    return f"the Workflow was aborted{withheld}"


def _recovered(value_s: float | None) -> str:
    return "never" if value_s == float("inf") else seconds(value_s)


def _queue(phase: Phase) -> str:
    low_s, high_s = phase.queue_p99_interval_s or (None, None)
    if phase.queue_p99_s is None:
        return NOTHING
    return f"up to {seconds(phase.queue_p99_s)} (95 %: {seconds(low_s)} to {seconds(high_s)})"


_OF_PHASES: Sequence[tuple[str, str, Callable[[Phase], str]]] = (
    ("queue_p99_s", "time in the queue p99, by the server", _queue),
    ("lost_tokens", "tokens lost", lambda phase: plain(phase.lost_tokens)),
    ("doubled_tokens", "tokens doubled", lambda phase: plain(phase.doubled_tokens)),
)
