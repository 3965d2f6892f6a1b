"""The signals that every profile speaks about, whatever an engine calls them; standard library only.

Names are those of the recorded series without the operation: `ttft_seconds` becomes `inf:ttft_seconds_bucket:rate`.
"""

from dataclasses import dataclass

from exporters.series.family import Kind


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that a dashboard, an alert or an assertion asks, in base units."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    """Normalised labels by which it may come; which of them do is the engine's choice."""
    fine: float | None = None
    """Of histograms: a first edge above this hides what the objectives ask about (in `unit`)."""


_DEVICE = ("gpu", "uuid")

_INFERENCE = (
    Signal("request", "counter", "requests", "requests that ended, by outcome", ("outcome",)),
    Signal("e2e_seconds", "histogram", "seconds", "acceptance to end of a request", ("outcome",), fine=0.25),
    Signal("ttft_seconds", "histogram", "seconds", "acceptance to first token", fine=0.05),
    Signal("itl_seconds", "histogram", "seconds", "gap between two tokens of a request", fine=0.025),
    Signal(
        "tpot_seconds", "histogram", "seconds", "mean time per token after the first, per request", fine=0.025
    ),
    Signal("queue_seconds", "histogram", "seconds", "acceptance to first schedule", fine=0.05),
    Signal("queue_age_seconds", "gauge", "seconds", "age of the request that has waited longest"),
    Signal("running", "gauge", "requests", "requests being computed"),
    Signal("waiting", "gauge", "requests", "requests accepted and not yet scheduled", ("reason",)),
    Signal("kv_usage", "gauge", "ratio", "used share of the KV cache"),
    Signal("prefix_hits", "counter", "", "prompt looked up and found in a cache", ("tier",)),
    Signal("prefix_lookups", "counter", "", "prompt looked up in a cache", ("tier",)),
    Signal("preemptions", "counter", "requests", "running requests put back into the queue"),
    Signal("tokens", "counter", "tokens", "tokens by direction", ("direction",)),
    Signal(
        "comm_seconds",
        "histogram",
        "seconds",
        "one operation between processes or nodes",
        ("op", "scope", "peer"),
        fine=0.001,
    ),
)
_GPU = (
    Signal("gpu_memory_used", "gauge", "bytes", "memory of the device in use", _DEVICE),
    Signal("gpu_memory_total", "gauge", "bytes", "memory of the device", _DEVICE),
    Signal("gpu_memory_reserved", "gauge", "bytes", "memory that the allocator holds", _DEVICE),
    Signal(
        "gpu_memory_fragmentation",
        "gauge",
        "ratio",
        "share of held memory that is of no use",
        (*_DEVICE, "kind"),
    ),
    Signal("gpu_util", "gauge", "ratio", "share of time in which the device worked", _DEVICE),
    Signal("gpu_power", "gauge", "watts", "power draw", _DEVICE),
    Signal("gpu_temperature", "gauge", "celsius", "temperature", _DEVICE),
    Signal("gpu_clock", "gauge", "hertz", "current clock", (*_DEVICE, "clock")),
    Signal("gpu_throttle", "gauge", "", "whether something holds the clocks down", (*_DEVICE, "reason")),
    Signal("gpu_ecc_errors", "counter", "errors", "memory errors", (*_DEVICE, "kind")),
    Signal("gpu_xid_events", "counter", "events", "XID events", (*_DEVICE, "xid")),
    Signal("gpu_nvlink_bytes", "counter", "bytes", "payload over NVLink", (*_DEVICE, "direction")),
)

SIGNALS = {signal.name: signal for signal in (*_INFERENCE, *_GPU)}
OF_DEVICES = frozenset(signal.name for signal in _GPU)
"""Signals of a device, which serves no model that its series could name."""
COMMON_LABELS = (
    *("cluster", "namespace", "pod", "node", "runtime"),
    *("model", "role", "dp_rank"),
)
"""Labels that any signal may have besides its own. `runtime` is added by whoever writes rules: it is the engine."""
