"""The GPU collector: device memory as NVML sees it, and what this process's torch allocator holds of it.

A machine without a GPU says so by one `ds_gpu_up 0`; nothing else is ever made up. Both sources are polled in
the background, because a call into a broken driver can hang for ever and a scrape must not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client.metrics_core import Metric

from exporters import metrics as declared
from exporters.collectors import CollectorSet
from exporters.gpu_sources import Allocator, Device, NvmlDevices, torch_allocators
from exporters.polling import Poller
from exporters.registry import gauge_snapshot

POLL_PERIOD_S = 1.0


class DeviceSource(Protocol):
    """Lists the devices of this machine; any function of that shape will do."""

    def __call__(self) -> Sequence[Device]:
        """Every device now; any exception says that they cannot be read."""


@dataclass(frozen=True, slots=True)
class GpuReading:
    """What one poll found."""

    devices: Sequence[Device]
    allocators: Mapping[str, Allocator] = field(default_factory=dict)
    """By UUID of the device."""


class GpuCollector:
    """Turns the last reading into families; where `latest` raises, `ds_gpu_up 0` is all there is."""

    def __init__(self, latest: Callable[[], GpuReading]) -> None:
        self._latest = latest

    def collect(self) -> Iterable[Metric]:
        """`ds_gpu_up`, and what else is known.

        Raises:
            Exception: whatever `latest` raised.
            LookupError: torch uses a device that NVML does not list (a MIG slice, say).
        """
        up = gauge_snapshot(declared.GPU_UP)
        try:
            reading = self._latest()
        except Exception:
            up.add_metric([], 0)
            yield up
            raise
        up.add_metric([], float(bool(reading.devices)))
        yield up
        if reading.devices:
            yield _used(reading.devices)
        if reading.allocators:
            yield from _allocator_families(reading)


def watch_gpus(
    collectors: CollectorSet, *, devices: DeviceSource | None = None, period_s: float = POLL_PERIOD_S
) -> Poller[GpuReading]:
    """Poll the GPUs every `period_s` seconds and show them in these collectors' scrapes; close it to stop."""
    list_devices = devices or NvmlDevices()
    poller = Poller(lambda: GpuReading(list_devices(), torch_allocators()), period_s=period_s)
    collectors.add("gpu", GpuCollector(poller.latest))
    return poller


def _used(devices: Sequence[Device]) -> Metric:
    used = gauge_snapshot(declared.GPU_MEMORY_USED)
    for device in devices:
        used.add_metric([str(device.index), device.uuid], device.used_bytes)
    return used


def _allocator_families(reading: GpuReading) -> Iterable[Metric]:
    reserved = gauge_snapshot(declared.GPU_MEMORY_RESERVED)
    allocated = gauge_snapshot(declared.GPU_MEMORY_ALLOCATED)
    fragmentation = gauge_snapshot(declared.GPU_MEMORY_FRAGMENTATION)
    # torch numbers the devices that this process may see, NVML numbers all of them: both know the UUID.
    index_of = {device.uuid: str(device.index) for device in reading.devices}
    for uuid, allocator in reading.allocators.items():
        gpu = index_of.get(uuid)
        if gpu is None:
            raise LookupError(f"torch uses a device that NVML does not list: {uuid}")
        reserved.add_metric([gpu], allocator.reserved_bytes)
        allocated.add_metric([gpu], allocator.allocated_bytes)
        for kind, ratio in fragmentation_ratios(allocator).items():
            fragmentation.add_metric([gpu, kind], ratio)
    return reserved, allocated, fragmentation


def fragmentation_ratios(allocator: Allocator) -> Mapping[str, float]:
    """Shares of the reserved bytes, 0 to 1: `slack` holds no tensor, `split` cannot be given back either.

    Empty while nothing is reserved. Counters: https://docs.pytorch.org/docs/stable/generated/torch.cuda.memory_stats.html
    """
    if not allocator.reserved_bytes:
        return {}
    return {
        "slack": 1 - allocator.allocated_bytes / allocator.reserved_bytes,
        "split": allocator.inactive_split_bytes / allocator.reserved_bytes,
    }
