"""The GPU collector: devices as NVML sees them, and what this process's torch allocator holds of their memory.

A machine without a GPU says so by one `ds_gpu_up 0`; nothing else is ever made up. Both sources are polled in
the background, because a call into a broken driver can hang for ever and a scrape must not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Protocol

from prometheus_client.metrics_core import Metric

from exporters.collectors import CollectorSet
from exporters.gpu_sources import Allocator, Device, torch_allocators
from exporters.nvml import NvmlDevices
from exporters.polling import Poller
from exporters.registry import counter_snapshot, gauge_snapshot
from exporters.series import gpu as declared
from exporters.series.family import Family

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


_SINGLE: Mapping[Family, Callable[[Device], float | None]] = {
    declared.GPU_MEMORY_USED: attrgetter("used_bytes"),
    declared.GPU_MEMORY_TOTAL: attrgetter("total_bytes"),
    declared.GPU_UTILIZATION: attrgetter("utilization_ratio"),
    declared.GPU_POWER: attrgetter("power_w"),
    declared.GPU_TEMPERATURE: attrgetter("temperature_c"),
    declared.GPU_NVLINK_LINKS: attrgetter("nvlink_links"),
}
"""One figure per device."""
_BY_LABEL: Mapping[Family, Callable[[Device], Mapping[str, float] | None]] = {
    declared.GPU_CLOCK: attrgetter("clocks_hz"),
    declared.GPU_THROTTLE: attrgetter("throttle"),
    declared.GPU_ECC_ERRORS: attrgetter("ecc_errors"),
    declared.GPU_XID_EVENTS: attrgetter("xid_events"),
    declared.GPU_NVLINK_BYTES: attrgetter("nvlink_bytes"),
}
"""Several per device, by their last label."""
_OF_ALLOCATOR: Mapping[Family, Callable[[Allocator], float]] = {
    declared.GPU_MEMORY_RESERVED: attrgetter("reserved_bytes"),
    declared.GPU_MEMORY_ALLOCATED: attrgetter("allocated_bytes"),
    declared.GPU_ALLOCATOR_RETRIES: attrgetter("retries"),
    declared.GPU_ALLOCATOR_OOMS: attrgetter("ooms"),
}


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
        yield from _device_families(reading.devices)
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


def _device_families(devices: Sequence[Device]) -> Iterable[Metric]:
    """Every family that any of the devices has a figure for."""
    for family, figure in _SINGLE.items():
        of_devices = {_labels(device): figure(device) for device in devices}
        yield from _filled(family, {key: value for key, value in of_devices.items() if value is not None})
    for family, figures in _BY_LABEL.items():
        yield from _filled(
            family,
            {
                (*_labels(device), label): value
                for device in devices
                for label, value in (figures(device) or {}).items()
            },
        )


def _labels(device: Device) -> tuple[str, ...]:
    return (str(device.index), device.uuid)


def _filled(family: Family, samples: Mapping[tuple[str, ...], float]) -> Iterable[Metric]:
    if samples:
        snapshot = counter_snapshot(family) if family.kind == "counter" else gauge_snapshot(family)
        for labels, value in samples.items():
            snapshot.add_metric(labels, float(value))
        yield snapshot


def _allocator_families(reading: GpuReading) -> Iterable[Metric]:
    # torch numbers the devices that this process may see, NVML numbers all of them: both know the UUID.
    index_of = {device.uuid: str(device.index) for device in reading.devices}
    unknown = reading.allocators.keys() - index_of.keys()
    if unknown:
        raise LookupError(f"torch uses a device that NVML does not list: {', '.join(sorted(unknown))}")
    of_gpu = {index_of[uuid]: allocator for uuid, allocator in reading.allocators.items()}
    for family, figure in _OF_ALLOCATOR.items():
        yield from _filled(family, {(gpu,): figure(allocator) for gpu, allocator in of_gpu.items()})
    yield from _filled(
        declared.GPU_MEMORY_FRAGMENTATION,
        {
            (gpu, kind): ratio
            for gpu, allocator in of_gpu.items()
            for kind, ratio in fragmentation_ratios(allocator).items()
        },
    )


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
