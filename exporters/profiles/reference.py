"""The reference server's own profile, made of the declared families: what they are is not written twice."""

from exporters.profiles.profile import Profile, Series
from exporters.profiles.signals import SIGNALS
from exporters.series.family import Family
from exporters.series.groups import GROUPS

_PREFIX = "ds_"
_OF_TORCH = "only inside the process that uses torch on a GPU"
_ENABLE = {
    **dict.fromkeys(
        ("prefix_hits", "prefix_lookups"), "the server names its caches: InferenceMetrics(cache_tiers=...)"
    ),
    "kv_usage": "the server tells it: InferenceMetrics.kv_usage",
    "preemptions": "a server that is an engine counts them: InferenceMetrics.engine",
    "comm_seconds": "runs beside the server, `python -m exporters comm`",
    "gpu_memory_reserved": _OF_TORCH,
    "gpu_memory_fragmentation": _OF_TORCH,
}
_LIMIT = {"gpu_util": "1 means that any kernel ran, not that the device is full"}


def reference_profile() -> Profile:
    """The profile; KeyError when a family names a signal that there is not."""
    families = [family for group in GROUPS.values() for family in group if family.signal]
    return Profile(
        format=1,
        engine="reference",
        title="the reference server, and any server that mounts these exporters",
        release="0.1.0",
        detect="ds_(inference_latency_seconds|requests_total|gpu_up|comm_latency_seconds)",
        prefix=_PREFIX,
        endpoint=":8081/metrics",
        labels={"model": "model"},
        signals={family.signal: (_series(family),) for family in families},
    )


def _series(family: Family) -> Series:
    signal = SIGNALS[family.signal]
    return Series(
        name=family.name.removeprefix(_PREFIX),
        type=family.kind,
        # Only signals that engines count in units of their own need one.
        unit=family.unit if not signal.unit and family.kind == "counter" else None,
        labels={label: label for label in family.labels if label in signal.labels},
        enable=_ENABLE.get(family.signal),
        limit=_LIMIT.get(family.signal),
    )
