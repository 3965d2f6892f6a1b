"""Every query of the GPUs' series, each written once.

Replicas that share a device all report it: of a device the greatest report counts, never the sum.
"""

from dashboards.config import REPLICAS, WORST
from dashboards.promql import greatest_rate, now, total_rate, worst
from exporters.series import collectors, gpu
from exporters.series.family import Family

DEVICE = ("uuid",)
_EVENTS = 8
"""Series that a legend beside a chart has room for."""


def answering() -> str:
    """Replicas whose NVML answers and lists a GPU."""
    return now("sum", gpu.GPU_UP, REPLICAS)


def collector_success() -> str:
    """1 where the GPU part of the last scrape was complete, by replica, the failing ones first."""
    of_gpus = f'{REPLICAS},collector="gpu"'
    return f"bottomk({WORST}, {now('min', collectors.COLLECTOR_SUCCESS, of_gpus, by=('pod',))})"


def of_device(family: Family, *labels: str) -> str:
    """A gauge of the devices where it is greatest, by device and these labels."""
    return _named(worst(WORST, now("max", family, REPLICAS, by=(*DEVICE, *labels))))


def clock(which: str) -> str:
    """The current clock in hertz of the devices where it is lowest: `sm` or `memory`."""
    lowest = now("min", gpu.GPU_CLOCK, f'{REPLICAS},clock="{which}"', by=DEVICE)
    return _named(f"bottomk({WORST}, {lowest})")


def events(family: Family, *labels: str) -> str:
    """What a device counts, per second, by device and these labels."""
    return _named(worst(_EVENTS, greatest_rate(family, REPLICAS, by=(*DEVICE, *labels))))


def of_allocator(family: Family) -> str:
    """What torch's allocator says of a device, by replica and device, the greatest."""
    return worst(WORST, now("sum", family, REPLICAS, by=("pod", "gpu")))


def fragmentation(kind: str) -> str:
    """Fragmentation of torch's allocator, `slack` or `split`, by replica and device, the worst."""
    of_kind = f'{REPLICAS},kind="{kind}"'
    return worst(WORST, now("max", gpu.GPU_MEMORY_FRAGMENTATION, of_kind, by=("pod", "gpu")))


def allocator_trouble(family: Family) -> str:
    """Retries or out-of-memory errors of torch's allocator per second, by replica, the most."""
    return worst(WORST, total_rate(family, REPLICAS, by=("pod",)))


def _named(devices: str) -> str:
    """With as much of each uuid as a legend has room for."""
    return f'label_replace({devices}, "uuid", "$1", "uuid", "(.{{12}}).*")'
