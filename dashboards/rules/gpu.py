"""Symptoms of the GPUs: lost, fragmented, held back, or reporting errors."""

from dashboards.rules.groups import HOUR_S, MINUTE_S, Alert, Timing
from dashboards.rules.symptoms import Symptom

SPLIT_FRAGMENTATION = 0.25
SLACK_FRAGMENTATION = 0.5
USUAL_THROTTLING = "power_cap|sync_boost"
"""What holds clocks down under full load in good health."""


def gpu_symptoms(timing: Timing) -> tuple[Symptom, ...]:
    """All of them, whichever can be told."""
    return (_gpu_lost(timing), _gpu_memory_fragmented(timing), _gpu_throttled(timing), _gpu_xid_event(timing))


def _gpu_lost(timing: Timing) -> Symptom:
    alert = Alert(
        "GpuLost",
        f"inf:gpu_up == 0\nand max_over_time(inf:gpu_up[{timing.window(HOUR_S)}]) == 1",
        "ticket",
        summary="The GPU of {{ $labels.instance }} does not answer any more.",
        description=(
            "NVML at {{ $labels.instance }} listed a GPU within the past hour and lists none now: "
            "the driver hangs, or the device fell off the bus."
        ),
        hold=timing.hold(MINUTE_S),
    )
    return Symptom(("gpu_up",), alert)


def _gpu_memory_fragmented(timing: Timing) -> Symptom:
    series = "inf:gpu_memory_fragmentation:ratio"
    alert = Alert(
        "GpuMemoryFragmented",
        f'{series}{{kind="split"}} > {SPLIT_FRAGMENTATION:g}\nor {series}{{kind="slack"}} > {SLACK_FRAGMENTATION:g}',
        "ticket",
        summary="Memory of GPU {{ $labels.gpu }} at {{ $labels.instance }} is fragmented.",
        description=(
            "{{ $value | humanizePercentage }} of what torch holds of it is {{ $labels.kind }}: used by no tensor. "
            "An allocation can fail while that much memory is free."
        ),
        hold=timing.hold(10 * MINUTE_S),
    )
    return Symptom(("gpu_memory_fragmentation",), alert)


def _gpu_throttled(timing: Timing) -> Symptom:
    alert = Alert(
        "GpuThrottled",
        f'inf:gpu_throttle{{reason!~"{USUAL_THROTTLING}"}} == 1',
        "ticket",
        summary="GPU {{ $labels.gpu }} at {{ $labels.instance }} runs below its clocks.",
        description=(
            "{{ $labels.reason }} has held the clocks down for 5 minutes: the replica is slower than the others, and "
            "with tensor parallelism everybody waits for it."
        ),
        hold=timing.hold(5 * MINUTE_S),
    )
    return Symptom(("gpu_throttle",), alert)


def _gpu_xid_event(timing: Timing) -> Symptom:
    alert = Alert(
        "GpuXidEvent",
        f"max_over_time(inf:gpu_xid_events:rate[{timing.window(10 * MINUTE_S)}]) > 0",
        "ticket",
        summary="GPU {{ $labels.gpu }} at {{ $labels.instance }} reported XID {{ $labels.xid }}.",
        description=(
            "The driver logged XID {{ $labels.xid }} within the past 10 minutes. Each one counts, repeats as well: "
            "this fires on the event itself and resolves when none has followed."
        ),
    )
    return Symptom(("gpu_xid_events",), alert)
