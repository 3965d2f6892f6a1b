"""The words of a journal in sentences, with the numbers of its run."""

from chaos.measuring.objectives import Objectives
from chaos.measuring.processor import FULL_AT, FULL_SHARE
from chaos.measuring.recovery_time import Criteria


def definitions(objectives: Objectives, criteria: Criteria) -> dict[str, str]:
    """By word."""
    return {**_of_requests(objectives), **_of_recoveries(criteria), **_of_the_cluster(criteria)}


def _of_requests(objectives: Objectives) -> dict[str, str]:
    gap = (
        ""
        if objectives.tpot_s is None
        else f", at most {objectives.tpot_s:g} s per token after the first on average"
    )
    gap += "" if objectives.itl_s is None else f", no gap between tokens above {objectives.itl_s:g} s"
    return {
        "good arrival": (
            f"a planned arrival answered completely, first token within {objectives.ttft_s:g} s and last "
            f"within {objectives.e2e_s:g} s of its planned instant{gap}"
        ),
        "goodput": "good arrivals per planned arrivals, by planned instant",
        "error ratio": "failures per planned arrivals, by planned instant",
        "instant": "a request counts when it was planned; one that a fault struck in flight counts when that started",
        "quantiles": "over every planned arrival, failures as +inf, rank ceil(q n), no interpolation",
        "baseline": (
            "from the end of the warm-up to the oldest request that was in flight when the fault struck: what was "
            "planned before is good or bad before the fault"
        ),
        "interval": "at least and at most so much, with 95 % confidence; verdicts are decided on it",
        "full": (
            f"between two samples: {FULL_AT:.0%} of the cores busy or kept by a hypervisor, or of a CPU quota used "
            f"by this run; and every period that ended with the quota used up. A phase is full from "
            f"{FULL_SHARE:.0%} of its time on"
        ),
    }


def _of_recoveries(criteria: Criteria) -> dict[str, str]:
    return {
        "service recovery": (
            "from the start of the fault to the first arrival after its last disturbance: a stretch of requests of "
            f"which more are bad than {criteria.goodput:g} of the baseline's goodput allows, or more failed than the "
            f"baseline's share and {criteria.error_ratio:g}, and more than its noise explains; {criteria.hold_s:g} s "
            f"without one must follow; later than {criteria.within_s:g} s is not recovered"
        ),
        "capacity recovery": (
            f"from the start of the fault to all wanted replicas ready for {criteria.hold_s:g} s, each new "
            "one having completed a request"
        ),
        "disturbance": (
            "from the first request that went wrong to the first arrival after the last bad one of a stretch in which "
            f"more requests were bad than {criteria.goodput:g} of the usual goodput allows, or more failed than "
            f"{criteria.error_ratio:g} beyond the usual, and more than noise explains; less than {criteria.hold_s:g} s "
            "apart they are one"
        ),
        "lost requests": "requests that failed, in flight when the fault started or planned later",
    }


def _of_the_cluster(criteria: Criteria) -> dict[str, str]:
    return {
        "cache recovery": (
            "from the start of the fault to where prefix caches find, by the cluster's own series, "
            f"{criteria.cache:g} of the share that they found in the baseline, and for {criteria.hold_s:g} s on"
        ),
        "cold start": "from the creation of a replica to its readiness; its steps as far as its target tells them",
        "queue P99": "the upper edge of the bucket of the server's own histogram that it lies in",
        "lost tokens": (
            "counted by the server in complete answers, and not arrived; doubled: arrived beyond its count"
        ),
    }
