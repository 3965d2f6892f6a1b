"""What a run comes to, in sentences: the headline, what was done, and when the service came back."""

import math
from collections.abc import Callable, Sequence

from chaos.errors import ExitCode
from chaos.measuring.recovery_time import Status
from chaos.record.journal import Journal
from chaos.record.load import Capacity, Refusal
from chaos.record.sections import Assertion, Fault, Recovery
from chaos.record.verdict import Verdict
from chaos.report import disturbances
from chaos.report.words import NOTHING, between, count, measured, plain, seconds, share

MARKS = {Verdict.PASSED: "✓", Verdict.DEVIATED: "✗", Verdict.INCONCLUSIVE: "?"}
"""Beside each colour a sign, for those who see no colour."""
SERVICE = "the service"
"""The target of a fault that has no victims which could be told apart."""
_ENDED_EARLY = {
    ExitCode.ABORTED: "aborted",
    ExitCode.CLEANUP_INCOMPLETE: "cleanup incomplete",
    ExitCode.INTERRUPTED: "interrupted",
}


def word(journal: Journal) -> str:
    """The verdict in a word, or how the run ended where that matters more."""
    return _ENDED_EARLY.get(journal.exit_code, str(journal.verdict))


def headline(journal: Journal) -> str:
    """The verdict in one sentence: `PASSED: goodput was back 4.1 s after 3 of 10 replicas were killed`."""
    return f"{word(journal).upper()}: {finding(journal)}"


def finding(journal: Journal) -> str:
    """What was found, in a clause, and what did not hold or could not be decided."""
    if journal.cut_short:
        done = disturbance(journal)
        return f"{'nothing was injected' if done is None else done}; {journal.cut_short}"
    if journal.observes:
        reasons = journal.reasons
        undecided = f"; undecided because {reasons[0]}" if reasons else ""
        return disturbances.finding(journal) + undecided
    found = _recovery_clause(journal)
    if not journal.faults:
        return found
    if journal.verdict == Verdict.DEVIATED:
        deviated = [a.expression for a in journal.assertions if a.verdict == Verdict.DEVIATED]
        more = f" and {len(deviated) - 1} more" if len(deviated) > 1 else ""
        return f"{found}; {deviated[0]}{more} did not hold"
    if journal.verdict == Verdict.INCONCLUSIVE:
        return f"{found}; undecided because {why_inconclusive(journal)[0]}"
    return found


def why_inconclusive(journal: Journal) -> list[str]:
    """Every reason for which the run, or one of its assertions, decides nothing."""
    reasons = list(journal.reasons)
    reasons += [
        f"{one.expression}: {one.reason or NOTHING}"
        for one in journal.assertions
        if one.verdict == Verdict.INCONCLUSIVE and one.reason not in reasons
    ]
    if not journal.assertions:
        reasons.append("nothing was asserted")
    return reasons


def disturbance(journal: Journal) -> str | None:
    """What was done to the replicas, as a clause: `3 of 10 replicas were killed`; None when nothing was."""
    return " and ".join(f"{_hit(journal, fault)} {_done(fault)}" for fault in journal.faults) or None


def _done(fault: Fault) -> str:
    return fault.done.replace("were ", "was ", 1) if len(fault.targets) == 1 else fault.done


def _hit(journal: Journal, fault: Fault) -> str:
    """How many, of the whole cluster: that a selector meant a part of it must not make a fault look total."""
    if list(fault.targets) == [SERVICE]:
        return SERVICE
    number, matched = len(fault.targets), fault.candidates
    wanted = journal.wanted_replicas or matched
    of_whom = f"{number} of {wanted} replicas"
    return of_whom if matched == wanted else f"{of_whom} ({matched} matched)"


def recovery_value(journal: Journal, name: str) -> str:
    """The service's or the capacity's recovery in words: `4.1 s`, or its status where that is no number."""
    status = journal.recovery.status(name)
    if status is not Status.RECOVERED:
        return str(status)
    return _back(journal.recovery) if name == "service" else seconds(journal.recovery.seconds(name))


def recovery_terms(journal: Journal) -> str:
    """Under which terms goodput counts as back, in a phrase."""
    recovery = journal.recovery
    return (
        f"{share(recovery.goodput)} of baseline goodput, at most {share(recovery.error_ratio)} errors beyond its own, "
        f"for {seconds(recovery.hold_s)}"
    )


def observed(assertion: Assertion) -> str:
    """What was observed, in the unit of the assertion."""
    return measured(assertion.observed, assertion.dimension)


def interval(assertion: Assertion) -> str:
    """At least and at most so much: `1.9 to 5.7 s`; empty for what was counted."""
    return between(assertion.interval, assertion.dimension)


def bound(assertion: Assertion) -> str:
    """What it was held to, in the same unit."""
    return measured(assertion.bound, assertion.dimension)


def reason(journal: Journal, assertion: Assertion) -> str:
    """Why it came out as it did; empty when it passed."""
    if assertion.verdict == Verdict.PASSED:
        return ""
    if assertion.reason:
        return assertion.reason
    seen, wanted = assertion.observed, assertion.bound
    if seen is None or seen == wanted:
        return ""
    if math.isinf(seen):
        name = assertion.expression.partition(" ")[0].removeprefix("recovery.")
        return journal.recovery.reason(name) or "failures reach the percentile"
    missed_by = measured(abs(seen - wanted), assertion.dimension)
    return f"{missed_by} {'above' if seen > wanted else 'below'} the bound"


def rate_clause(rate_per_s: float | None, capacity: Capacity | None) -> str:
    """The rate, and what it was made of: `15.3 requests/s: 60 % of the 25.5/s that this cluster carried`."""
    rate = f"{plain(rate_per_s)} requests/s"
    if capacity is None:
        return f"{rate}, as the experiment file says"
    carried = f"{'at least ' if capacity.at_least else ''}{plain(capacity.measured)}/s"
    who = "this cluster" if capacity.by_this_run else "such a cluster, in another run,"
    return f"{rate}: {share(capacity.share)} of the {carried} that {who} carried"


def rate_sentence(rate_per_s: float | None, capacity: Capacity | None) -> str:
    """The same with what it means and what followed from it."""
    clause = rate_clause(rate_per_s, capacity)
    if capacity is None:
        return clause
    grew_from_s = capacity.baseline_grew_from_s
    grew = (
        "" if grew_from_s is None else f"; the baseline grew from {seconds(grew_from_s)} to hold its claims"
    )
    return f"{clause} within the objectives{grew}"


PARTLY_OPEN = "partly open load: later turns of sessions wait for answers"


def offered(
    journal: Journal, say: Callable[[float | None, Capacity | None], str] = rate_sentence
) -> str | None:
    """The same of a finished run; None where its journal does not know the rate."""
    load = journal.load
    if load.rate is None:
        return None
    said = say(load.rate, load.capacity)
    return said if load.loop == "open" else f"{said}; {PARTLY_OPEN}"


def outcomes(journal: Journal) -> Sequence[tuple[str, int, str]]:
    """Each outcome with its count and share of all planned arrivals, the most frequent first."""
    counts, planned = journal.load.outcomes, journal.load.planned
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(name, n, share(n / planned) if planned else share(None)) for name, n in ordered]


def refusals(journal: Journal) -> Sequence[Refusal]:
    """What servers said when they refused, the most frequent first."""
    return journal.load.refusals or ()


def common_age(journal: Journal) -> str | None:
    """That failures cluster at one age, in a sentence; None where they do not."""
    age = journal.load.common_age
    if age is None:
        return None
    return (
        f"{age.count:,} of {count(age.cut, 'request')} that were cut had lasted {seconds(age.age_s)}, "
        "whenever they began: failures cluster at one age, so that a deadline between client and server is the likely "
        "cause"
    )


def _recovery_clause(journal: Journal) -> str:
    done = disturbance(journal)
    if done is None:
        return "no fault was injected"
    recovery = journal.recovery
    match recovery.service_status:
        case Status.RECOVERED:
            return f"goodput was back {_back(recovery)} after {done}{relapse(recovery)}"
        case Status.NO_IMPACT:
            kept = "never left" if recovery.relapse_s is None else "kept within"
            return f"goodput {kept} its tolerance when {done}{relapse(recovery)}"
        case Status.NOT_RECOVERED:
            return f"goodput was not back within {seconds(recovery.within_s)} after {done}"
        case _:
            return f"how fast goodput was back after {done} is not known"


def _back(recovery: Recovery) -> str:
    """A recovery of which nothing is known but an upper bound is told as one."""
    interval, value_s = recovery.service_interval_s, seconds(recovery.service_s)
    if interval is None:
        return value_s
    low_s, high_s = interval
    return f"within {seconds(high_s)}" if low_s <= 0 and math.isfinite(high_s) else value_s


def relapse(recovery: Recovery) -> str:
    """What a reader of a recovery must not miss: it held as long as was asked for, and no longer."""
    fell_s = recovery.relapse_s
    return "" if fell_s is None else f", but fell again after {seconds(fell_s)}"
