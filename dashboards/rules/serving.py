"""Symptoms of the replicas as servers of requests: queue, KV cache, cache tiers, errors."""

from dashboards.rules.groups import HOUR_S, MINUTE_S, Alert, Timing
from dashboards.rules.slo import FAILED
from dashboards.rules.symptoms import Symptom, percent, total
from exporters.slo import TTFT_BOUND_S

QUEUE_AGE_S = 10 * TTFT_BOUND_S
KV_USAGE = 0.95
HIT_RATIO_KEPT = 0.5
"""A tier that hits less than this share of what it did has collapsed."""
HIT_RATIO_USEFUL = 0.05
"""Below this a tier was of no use before either."""
ERROR_RATIO = 0.05
PREEMPTION_RATIO = 0.1
RECENT_S = 5 * MINUTE_S
BEFORE_S = HOUR_S
"""What 'before' means to a tier: the hour that ended when the recent window began."""


def serving_symptoms(timing: Timing) -> tuple[Symptom, ...]:
    """All of them, whichever the engine can tell."""
    return (
        _queue_age_high(timing),
        _kv_cache_exhausted(timing),
        _cache_tier_down(timing),
        _cache_tier_hit_ratio_collapsed(timing),
        _error_ratio_high(timing),
        _preemption_storm(timing),
    )


def _queue_age_high(timing: Timing) -> Symptom:
    alert = Alert(
        "QueueAgeHigh",
        f"inf:queue_age_seconds > {QUEUE_AGE_S:g}",
        "page",
        summary="Requests wait at {{ $labels.instance }} and are not scheduled.",
        description=(
            "The oldest request of {{ $labels.model }} there has waited {{ $value | humanizeDuration }}, more than "
            f"{QUEUE_AGE_S:g} s. A stuck queue observes nothing: latency histograms look fine meanwhile."
        ),
        hold=timing.hold(MINUTE_S),
    )
    return Symptom(("queue_age_seconds",), alert)


def _kv_cache_exhausted(timing: Timing) -> Symptom:
    alert = Alert(
        "KvCacheExhausted",
        f"inf:kv_usage:ratio > {KV_USAGE:g}\nand inf:waiting > 0",
        "ticket",
        summary="The KV cache of {{ $labels.instance }} is full while requests wait.",
        description=(
            "{{ $value | humanizePercentage }} of the KV cache of {{ $labels.model }} is used and requests wait "
            "for room: latency grows with every arrival. A full cache alone is good use of memory."
        ),
        hold=timing.hold(2 * MINUTE_S),
    )
    return Symptom(("kv_usage", "waiting"), alert)


def _before(signal: str, timing: Timing) -> str:
    window, offset = timing.window(BEFORE_S), timing.window(RECENT_S)
    return total(f"inf:{signal}:rate", window, "tier", offset=offset)


def _hit_ratio_before(timing: Timing) -> str:
    return f"{_before('prefix_hits', timing)}\n  / ({_before('prefix_lookups', timing)} > 0)"


def _cache_tier_down(timing: Timing) -> Symptom:
    recent = timing.window(RECENT_S)
    requests = total('inf:request:rate{outcome="ok"}', recent)
    alert = Alert(
        "CacheTierDown",
        f"{total('inf:prefix_hits:rate', recent, 'tier')} == 0\n"
        f"and\n  {_hit_ratio_before(timing)} > {HIT_RATIO_USEFUL:g}\n"
        f"and ignoring (tier) {requests} > 0",
        "ticket",
        summary="The cache tier {{ $labels.tier }} of {{ $labels.model }} finds nothing any more.",
        description=(
            "Requests are answered, and the tier {{ $labels.tier }} has found none of their tokens for 5 minutes, "
            f"though it found more than {percent(HIT_RATIO_USEFUL)} in the hour before: it is gone or empty."
        ),
        hold=timing.hold(2 * MINUTE_S),
    )
    return Symptom(("prefix_hits", "prefix_lookups", "request"), alert)


def _cache_tier_hit_ratio_collapsed(timing: Timing) -> Symptom:
    recent = timing.window(RECENT_S)
    hits, lookups = (total(f"inf:prefix_{name}:rate", recent, "tier") for name in ("hits", "lookups"))
    before = _hit_ratio_before(timing)
    alert = Alert(
        "CacheTierHitRatioCollapsed",
        f"({hits} > 0)\n  / {lookups}\n< {HIT_RATIO_KEPT:g} * (\n  {before}\n  > {HIT_RATIO_USEFUL:g}\n)",
        "ticket",
        summary="The cache tier {{ $labels.tier }} of {{ $labels.model }} hits less than half as often as before.",
        description=(
            "Over 5 minutes {{ $value | humanizePercentage }} of the tokens looked up were found, less than "
            f"{percent(HIT_RATIO_KEPT)} of the ratio of the hour before: prompts are computed anew."
        ),
        hold=timing.hold(5 * MINUTE_S),
    )
    return Symptom(("prefix_hits", "prefix_lookups"), alert)


def _error_ratio_high(timing: Timing) -> Symptom:
    recent = timing.window(RECENT_S)
    failed = total(f"inf:request:rate{{{FAILED}}}", recent)
    ended = total('inf:request:rate{outcome!="aborted"}', recent)
    alert = Alert(
        "ErrorRatioHigh",
        f"{failed}\n/ ({ended} > 0)\n> {ERROR_RATIO:g}",
        "page",
        summary="More than one request in twenty of {{ $labels.model }} fails.",
        description=(
            "{{ $value | humanizePercentage }} of the requests that ended at the replicas of {{ $labels.model }} over "
            "5 minutes failed, timed out or were rejected. Those that clients gave up on are left out."
        ),
        hold=timing.hold(2 * MINUTE_S),
    )
    return Symptom(("request",), alert)


def _preemption_storm(timing: Timing) -> Symptom:
    recent = timing.window(RECENT_S)
    preempted, ended = (total(f"inf:{signal}:rate", recent) for signal in ("preemptions", "request"))
    alert = Alert(
        "PreemptionStorm",
        f"{preempted}\n/ ({ended} > 0)\n> {PREEMPTION_RATIO:g}",
        "ticket",
        summary="Running requests of {{ $labels.model }} are put back into the queue.",
        description=(
            "{{ $value | humanizePercentage }} as many preemptions as requests over 5 minutes: the KV cache is too "
            "small for what is admitted, and the same tokens are computed twice."
        ),
        hold=timing.hold(2 * MINUTE_S),
    )
    return Symptom(("preemptions", "request"), alert)
