"""Every query of the GPUs' series, each written once.

Replicas that share a device all report it: of a device the greatest report counts, never the sum.
"""

from dashboards.config import REPLICAS, WORST
from dashboards.queries.expression import Expression, Matcher, promql
from dashboards.queries.promql import Subject, greatest_rate, lowest, now, total_rate, worst
from exporters.series import collectors, gpu
from exporters.series.family import Family

DEVICE = ("uuid",)
_EVENTS = 8
"""Series that a legend beside a chart has room for."""


def answering() -> Expression:
    """Replicas whose NVML answers and lists a GPU."""
    return now("sum", gpu.GPU_UP, REPLICAS)


def collector_success() -> Expression:
    """1 where the GPU part of the last scrape was complete, by replica, the failing ones first."""
    of_gpus = Matcher("collector", "=", "gpu")
    return lowest(WORST, now("min", collectors.COLLECTOR_SUCCESS, REPLICAS, of_gpus, by=("pod",)))


def of_device(signal: str, *labels: str) -> Expression:
    """A gauge of the devices where it is greatest, by device and these labels."""
    return _named(worst(WORST, now("max", signal, REPLICAS, by=(*DEVICE, *labels))))


def clock(which: str) -> Expression:
    """The current clock in hertz of the devices where it is lowest: `sm` or `memory`."""
    current = now("min", "gpu_clock", REPLICAS, Matcher("clock", "=", which), by=DEVICE)
    return _named(lowest(WORST, current))


def events(signal: str, *labels: str) -> Expression:
    """What a device counts, per second, by device and these labels."""
    return _named(worst(_EVENTS, greatest_rate(signal, REPLICAS, by=(*DEVICE, *labels))))


def of_allocator(subject: Subject) -> Expression:
    """What torch's allocator says of a device, by replica and device, the greatest."""
    return worst(WORST, now("sum", subject, REPLICAS, by=("pod", "gpu")))


def fragmentation(kind: str) -> Expression:
    """Fragmentation of torch's allocator, `slack` or `split`, by replica and device, the worst."""
    of_kind = Matcher("kind", "=", kind)
    return worst(WORST, now("max", "gpu_memory_fragmentation", REPLICAS, of_kind, by=("pod", "gpu")))


def allocator_trouble(family: Family) -> Expression:
    """Retries or out-of-memory errors of torch's allocator per second, by replica, the most."""
    return worst(WORST, total_rate(family, REPLICAS, by=("pod",)))


def _named(devices: Expression) -> Expression:
    """With as much of each uuid as a legend has room for."""
    return promql('label_replace({devices}, "uuid", "$1", "uuid", "(.{{12}}).*")', devices=devices)
