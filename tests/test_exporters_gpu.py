"""GPU figures: recorded answers in, exact lines out; and a driver that fails or hangs breaks no scrape."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporters.collectors import CollectorSet
from exporters.gpu import GpuCollector, GpuReading, watch_gpus
from exporters.gpu_sources import Allocator, Device, torch_allocators
from exporters.nvml import NvmlDevices

Eventually = Callable[..., object]

GIB = 2**30
TWO_DEVICES = (Device(0, "GPU-aaaa", 71 * GIB), Device(1, "GPU-bbbb", 3 * GIB))
HAS_GPU = Path("/dev/nvidiactl").exists()


def gpu_lines(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if line.startswith("ds_gpu")]


def gpu_families(registry: CollectorRegistry) -> list[str]:
    return [family.name for family in registry.collect() if family.name.startswith("ds_gpu")]


def success(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("ds_collector_success", {"collector": "gpu"})


def exposition_of(reading: GpuReading) -> tuple[list[str], float | None]:
    registry = CollectorRegistry()
    CollectorSet(registry).add("gpu", GpuCollector(lambda: reading))
    return gpu_lines(registry), success(registry)


@pytest.mark.skipif(HAS_GPU, reason="this machine has an NVIDIA driver")
def test_a_machine_without_a_gpu_says_so_by_one_line(eventually: Eventually) -> None:
    registry = CollectorRegistry()
    with watch_gpus(CollectorSet(registry), period_s=0.05):
        eventually(lambda: success(registry) == 1, within_s=30, what="the first poll")
        assert gpu_lines(registry) == ["ds_gpu_up 0.0"]
        assert gpu_families(registry) == ["ds_gpu_up"]


def test_a_device_of_which_only_memory_is_known_has_no_other_series() -> None:
    lines, succeeded = exposition_of(GpuReading(TWO_DEVICES))
    assert lines == [
        "ds_gpu_up 1.0",
        'ds_gpu_memory_used_bytes{gpu="0",uuid="GPU-aaaa"} 7.6235669504e+10',
        'ds_gpu_memory_used_bytes{gpu="1",uuid="GPU-bbbb"} 3.221225472e+09',
    ]
    assert succeeded == 1


def test_the_allocator_is_told_by_the_number_that_nvml_gives_its_device() -> None:
    """A process that may see device 1 alone calls it 0."""
    allocator = Allocator(3 * GIB, reserved_bytes=4 * GIB, inactive_split_bytes=GIB // 2, retries=2, ooms=1)
    lines, succeeded = exposition_of(GpuReading(TWO_DEVICES, {"GPU-bbbb": allocator}))
    assert lines[3:] == [
        'ds_gpu_memory_reserved_bytes{gpu="1"} 4.294967296e+09',
        'ds_gpu_memory_allocated_bytes{gpu="1"} 3.221225472e+09',
        'ds_gpu_allocator_retries_total{gpu="1"} 2.0',
        'ds_gpu_allocator_ooms_total{gpu="1"} 1.0',
        'ds_gpu_memory_fragmentation_ratio{gpu="1",kind="slack"} 0.25',
        'ds_gpu_memory_fragmentation_ratio{gpu="1",kind="split"} 0.125',
    ]
    assert succeeded == 1


def test_an_allocator_that_reserved_nothing_has_no_fragmentation() -> None:
    lines, _ = exposition_of(GpuReading(TWO_DEVICES, {"GPU-aaaa": Allocator(0, 0, 0)}))
    assert lines[3:] == [
        'ds_gpu_memory_reserved_bytes{gpu="0"} 0.0',
        'ds_gpu_memory_allocated_bytes{gpu="0"} 0.0',
        'ds_gpu_allocator_retries_total{gpu="0"} 0.0',
        'ds_gpu_allocator_ooms_total{gpu="0"} 0.0',
    ]


def test_a_device_that_nvml_does_not_list_fails_the_collector_and_keeps_the_devices() -> None:
    lines, succeeded = exposition_of(GpuReading(TWO_DEVICES[:1], {"MIG-cccc": Allocator(1, 1, 0)}))
    assert [line.split("{")[0] for line in lines] == ["ds_gpu_up 1.0", "ds_gpu_memory_used_bytes"]
    assert succeeded == 0


def test_a_failed_poll_is_reported_shows_no_old_value_and_mends_itself(eventually: Eventually) -> None:
    answers: list[Sequence[Device] | Exception] = [TWO_DEVICES]

    def recorded() -> Sequence[Device]:
        answer = answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    registry = CollectorRegistry()
    with watch_gpus(CollectorSet(registry), devices=recorded, period_s=0.05):
        eventually(lambda: success(registry) == 1, within_s=30)
        answers[0] = OSError("GPU is lost")
        eventually(lambda: success(registry) == 0, within_s=30)
        assert gpu_lines(registry) == ["ds_gpu_up 0.0"]
        assert gpu_families(registry) == ["ds_gpu_up"]
        answers[0] = TWO_DEVICES
        eventually(lambda: success(registry) == 1, within_s=30)
        assert len(gpu_lines(registry)) == 3


def test_a_driver_that_hangs_lets_scrapes_through_and_ages_out(eventually: Eventually) -> None:
    hang, let_go = threading.Event(), threading.Event()

    def recorded() -> Sequence[Device]:
        if hang.is_set():
            let_go.wait(30)
        return TWO_DEVICES

    registry = CollectorRegistry()
    with watch_gpus(CollectorSet(registry), devices=recorded, period_s=0.05):
        eventually(lambda: success(registry) == 1, within_s=30)
        hang.set()
        eventually(lambda: success(registry) == 0, within_s=30, what="an answer too old to show")
        assert gpu_lines(registry) == ["ds_gpu_up 0.0"]
        assert gpu_families(registry) == ["ds_gpu_up"]
        let_go.set()
        eventually(lambda: success(registry) == 1, within_s=30)


@pytest.mark.gpu
def test_a_real_device_and_its_allocator_agree_on_what_torch_took() -> None:
    import torch

    kept = torch.empty(GIB, dtype=torch.uint8, device="cuda")
    before = {device.uuid: device.used_bytes for device in NvmlDevices()()}
    taken = torch.empty(4 * GIB, dtype=torch.uint8, device="cuda")
    devices, allocators = NvmlDevices()(), torch_allocators()
    lines, succeeded = exposition_of(GpuReading(devices, allocators))

    assert set(allocators) <= set(before)
    (uuid,) = (device.uuid for device in devices if device.used_bytes - before[device.uuid] >= 4 * GIB)
    assert allocators[uuid].allocated_bytes == kept.numel() + taken.numel()
    assert allocators[uuid].reserved_bytes >= allocators[uuid].allocated_bytes
    assert succeeded == 1
    assert lines[0] == "ds_gpu_up 1.0"
