"""Built-in traffic, fitted to the figures that are published of real traces; docs/traffic.md has both side by side.

What a profile says is written as any load could write it. Rates are those of the traces, and so are the times of
bursts and drift: at another rate the same bursts come at the same times, with more in them, and the index of dispersion
grows with the rate. Lengths are tables of quantiles, because log-normal fits of these traces are off by 0.1 to 0.2 in
probability.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

from loadtests.traffic.lengths import Lengths
from loadtests.traffic.rate_profile import Drift, OnOff, RateProfile
from loadtests.traffic.sessions import Sessions

Profile: TypeAlias = Literal["chat", "code", "agent", "batch"]


def _table(text: str) -> Lengths:
    """Quantiles and their lengths, in turn."""
    words = text.split()
    return Lengths(quantiles=dict(zip(words[::2], map(int, words[1::2]), strict=True)))


# Microsoft's Azure LLM inference trace 2023, conversation (Splitwise, ISCA 2024).
_CHAT = {
    "rate_per_s": 5.53,
    "arrivals": "gamma",
    "burstiness": 0.9,
    "rate_profile": RateProfile(drift=Drift(spread=0.26, over_s=150.0)),
    "prompt_tokens": _table(
        "p0 2 p1 29 p5 181 p10 207 p20 387 p30 403 p40 703 p50 1020 p60 1071 p70 1130 p80 1315 "
        "p90 2735 p95 4083 p99 4142 p100 14050"
    ),
    "output_tokens": _table(
        "p0 7 p1 16 p5 41 p10 54 p20 77 p30 91 p40 103 p50 129 p60 177 p70 384 p80 400 p90 424 "
        "p95 451 p99 601 p100 1000"
    ),
}
# The same publication, code completion: long silences, bursts, short answers.
_CODE = {
    "rate_per_s": 2.57,
    "arrivals": "gamma",
    "burstiness": 0.3,
    # The index of dispersion of an on/off rate at three window lengths gives the share of bursts and the memory, and
    # with them both mean lengths; what bursts have among themselves is the shape of the gaps.
    "rate_profile": RateProfile(on_off=OnOff(on_s=11.0, off_s=43.0, factor=54 / 11, random=True)),
    "prompt_tokens": _table(
        "p0 3 p1 17 p5 75 p10 147 p20 385 p30 770 p40 1075 p50 1469 p60 1909 p70 2433 p80 3193 "
        "p90 5194 p95 7315 p99 7436 p100 7437"
    ),
    "output_tokens": _table(
        "p0 6 p10 6 p20 8 p30 9 p40 11 p50 13 p60 16 p70 20 p80 29 p90 55 p95 90 p98 172 p99 252 "
        "p99.5 361 p100 1899"
    ),
}
# Mooncake's synthetic trace (FAST 2025): prompts of 15,000 tokens of which a cache knows 64 %, short answers. Eight
# turns whose prompts grow have that share; sessions that come more evenly than Poisson ones make requests that are
# Poisson at every window length, as published. The time between turns is not published.
_AGENT = {
    "rate_per_s": 3.91,
    "arrivals": "gamma",
    "burstiness": 8.0,
    "prompt_tokens": _table("p0 100 p10 300 p25 3000 p50 11587 p90 38611 p99 66456 p100 191378"),
    "output_tokens": _table("p0 1 p10 5 p25 20 p50 69 p90 389 p99 768 p100 893"),
    "sessions": Sessions(turns=8, think_s=5.0, lengths="prompt"),
}
# Mooncake's conversation trace as it is published: what came within 3 s leaves together.
_BATCH = {
    "rate_per_s": 3.40,
    "arrivals": "gamma",
    "burstiness": 0.85,
    "batch_every_s": 3.0,
    "rate_profile": RateProfile(drift=Drift(spread=0.11, over_s=120.0)),
    "prompt_tokens": _table(
        "p0 891 p5 901 p10 964 p20 1662 p30 3263 p40 4993 p50 6909 p60 9570 p70 13196 p80 17869 "
        "p90 27367 p95 39552 p98 66484 p99 85400 p100 126195"
    ),
    "output_tokens": _table(
        "p0 1 p1 3 p5 10 p10 24 p20 100 p30 213 p40 291 p50 350 p60 399 p70 447 p80 504 p90 597 "
        "p95 698 p98 893 p99 1119 p100 2000"
    ),
    "shared_prefix": 0.366,
}
PROFILES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    dict(zip(get_args(Profile), (_CHAT, _CODE, _AGENT, _BATCH), strict=True))
)
"""By name, settings of a load; whatever a load says itself comes before them."""
