"""NVML's answers become figures in base units; what a device does not have stays away; XID events are counted."""

import pynvml
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from exporters.collectors import CollectorSet
from exporters.gpu import GpuCollector, GpuReading
from exporters.nvml import NvmlDevices
from exporters.series.gpu import FAMILIES, OTHER_XID, THROTTLE_REASONS, XIDS
from tests.support.recorded_nvml import RecordedNvml, consumer_card, data_centre_card


def lines_of(devices: NvmlDevices) -> list[str]:
    registry = CollectorRegistry()
    CollectorSet(registry).add("gpu", GpuCollector(lambda: GpuReading(devices())))
    text = generate_latest(registry).decode()
    return [line for line in text.splitlines() if line.startswith("ds_gpu")]


def xids_of(devices: NvmlDevices, index: int = 0) -> dict[str, int]:
    return {code: count for code, count in (devices()[index].xid_events or {}).items() if count}


def test_every_answer_of_a_data_centre_card_is_shown_in_base_units() -> None:
    lines = lines_of(NvmlDevices(RecordedNvml([data_centre_card("GPU-a")])))
    device = 'gpu="0",uuid="GPU-a"'
    assert [line for line in lines if "xid" not in line and "throttle" not in line] == [
        "ds_gpu_up 1.0",
        f"ds_gpu_memory_used_bytes{{{device}}} 1.059913728e+09",
        f"ds_gpu_memory_total_bytes{{{device}}} 1.50754820096e+11",
        f"ds_gpu_utilization_ratio{{{device}}} 1.0",
        f"ds_gpu_power_watts{{{device}}} 690.994",
        f"ds_gpu_temperature_celsius{{{device}}} 57.0",
        f"ds_gpu_nvlink_links_active{{{device}}} 17.0",
        f'ds_gpu_clock_hertz{{clock="sm",{device}}} 1.455e+09',
        f'ds_gpu_clock_hertz{{clock="memory",{device}}} 3.201e+09',
        'ds_gpu_ecc_errors_total{gpu="0",kind="corrected",uuid="GPU-a"} 3.0',
        'ds_gpu_ecc_errors_total{gpu="0",kind="uncorrected",uuid="GPU-a"} 0.0',
        f'ds_gpu_nvlink_bytes_total{{direction="tx",{device}}} 2.097152e+06',
        f'ds_gpu_nvlink_bytes_total{{direction="rx",{device}}} 1024.0',
    ]
    assert {line.split('reason="')[1] for line in lines if "throttle" in line} == {
        f'{reason}",uuid="GPU-a"}} {float(reason == "power_cap")}' for reason in THROTTLE_REASONS
    }


def test_a_figure_that_one_device_lacks_is_shown_for_the_other_alone() -> None:
    lines = lines_of(NvmlDevices(RecordedNvml([consumer_card("GPU-a"), data_centre_card("GPU-b")])))
    for family in ("ecc_errors", "nvlink", "xid"):
        assert {line.split('gpu="')[1][0] for line in lines if family in line} == {"1"}
    assert {line.split('gpu="')[1][0] for line in lines if "power" in line} == {"0", "1"}


def test_a_machine_of_consumer_cards_has_no_family_for_what_none_of_them_has() -> None:
    lines = lines_of(NvmlDevices(RecordedNvml([consumer_card("GPU-a")])))
    assert not [line for line in lines if "ecc" in line or "nvlink" in line or "xid" in line]


def test_xid_events_are_countable_from_zero_repeats_included() -> None:
    nvml = RecordedNvml([data_centre_card("GPU-a"), data_centre_card("GPU-b")])
    devices = NvmlDevices(nvml)
    assert devices()[0].xid_events == dict.fromkeys((*XIDS, OTHER_XID), 0)
    nvml.events += [(0, 79), (1, 79), (0, 79), (0, 31), (0, 31415)]
    assert xids_of(devices, 0) == {"79": 2, "31": 1, OTHER_XID: 1}
    assert xids_of(devices, 1) == {"79": 1}
    nvml.events.append((0, 79))
    assert xids_of(devices, 0) == {"79": 3, "31": 1, OTHER_XID: 1}


def test_a_device_that_reports_without_end_does_not_hold_the_poll() -> None:
    nvml = RecordedNvml([data_centre_card("GPU-a")], events=[(0, 74)] * 1500)
    devices = NvmlDevices(nvml)
    assert xids_of(devices) == {"74": 1000}
    assert xids_of(devices) == {"74": 1500}


def test_a_lost_driver_is_an_error_then_begun_anew_with_its_counts_kept() -> None:
    nvml = RecordedNvml([data_centre_card("GPU-a")], events=[(0, 79)])
    devices = NvmlDevices(nvml)
    assert xids_of(devices) == {"79": 1}
    nvml.lost = True
    for _ in range(3):
        with pytest.raises(pynvml.NVMLError_GpuIsLost):
            devices()
    nvml.lost = False
    assert xids_of(devices) == {"79": 1}
    assert nvml.starts == 4


def test_an_answer_that_fails_otherwise_fails_the_poll_instead_of_hiding() -> None:
    card = data_centre_card("GPU-a")
    card.answers["nvmlDeviceGetPowerUsage"] = pynvml.NVMLError_Unknown()
    with pytest.raises(pynvml.NVMLError_Unknown):
        NvmlDevices(RecordedNvml([card]))()


def test_a_user_without_permission_sees_what_it_may() -> None:
    card = data_centre_card("GPU-a")
    card.answers["nvmlDeviceGetTotalEccErrors"] = pynvml.NVMLError_NoPermission()
    (device,) = NvmlDevices(RecordedNvml([card]))()
    assert device.ecc_errors == {}
    assert device.power_w == 690.994


def test_every_declared_device_family_is_reached_by_some_recorded_answer() -> None:
    lines = lines_of(NvmlDevices(RecordedNvml([data_centre_card("GPU-a")])))
    shown = {line.split("{")[0].split()[0] for line in lines}
    of_torch = {family.name for family in FAMILIES if "uuid" not in family.labels} - {"ds_gpu_up"}
    assert shown == {family.name for family in FAMILIES} - of_torch
