"""What real H200s said of themselves, by this exporter and by nvidia-smi in the same second: the committed recordings.

All of `tests/data/h200/` was recorded on such machines; nothing in it was made up.
"""

import csv
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporters.collectors import CollectorSet
from exporters.gpu import GpuCollector, GpuReading
from exporters.nvml import NvmlDevices
from exporters.series.gpu import FAMILIES, XIDS
from tests.support.gpu_figures import FIGURES, REASON_BITS, Samples, samples
from tests.support.recorded_nvml import RECORDINGS, RecordedNvml, h200

COMPARED = list(csv.DictReader((RECORDINGS / "comparison.csv").read_text().splitlines()))
OF_NVLINK = {"ds_gpu_nvlink_links_active", "ds_gpu_nvlink_bytes_total"}
GIB = 2**30


def scraped(name: str) -> Samples:
    return samples((RECORDINGS / f"{name}.prom").read_text())


@pytest.mark.parametrize("phase", ["idle", "load"])
def test_what_nvml_answered_on_an_h200_becomes_the_exposition_that_was_scraped_there(phase: str) -> None:
    registry = CollectorRegistry()
    devices = NvmlDevices(RecordedNvml([h200("idle" if phase == "idle" else "load")]))
    CollectorSet(registry).add("gpu", GpuCollector(lambda: GpuReading(devices())))
    now, there = samples(generate_latest(registry).decode()), scraped(phase)
    assert list(now) == list(there)
    moving = {"ds_gpu_power_watts": 25, "ds_gpu_temperature_celsius": 1, "ds_gpu_clock_hertz": 75e6}
    for key, value in now.items():
        assert value == pytest.approx(there[key], abs=moving.get(key[0], 0)), key


def test_every_device_family_was_seen_on_the_h200_but_nvlink() -> None:
    shown = {family for family, _ in scraped("server")}
    assert {family.name for family in FAMILIES} - shown == OF_NVLINK


def test_every_figure_agreed_with_nvidia_smi_idle_loaded_and_serving() -> None:
    wanted = {(figure.family, figure.label) for figure in FIGURES}
    wanted |= {("ds_gpu_throttle_active", reason) for reason in REASON_BITS}
    for phase, scrapes in (("idle", 4), ("load", 5), ("server", 4)):
        rows = [row for row in COMPARED if row["phase"] == phase]
        assert len({row["at_s"] for row in rows}) == scrapes
        assert {(row["family"], row["label"]) for row in rows} == wanted
    for row in COMPARED:
        within = float(row["tolerance"])
        low, high = float(row["smi_low"]) - within, float(row["smi_high"]) + within
        assert low <= float(row["exporter"]) <= high, row
        assert row["agrees"] == "True"
        assert int(row["smi_rows"]) >= 5


def test_the_comparison_saw_figures_that_move() -> None:
    """A frozen reading would agree with itself."""
    idle, load = scraped("idle"), scraped("load")
    assert (idle["ds_gpu_utilization_ratio", ""], load["ds_gpu_utilization_ratio", ""]) == (0, 1)
    assert load["ds_gpu_power_watts", ""] - idle["ds_gpu_power_watts", ""] > 400
    assert load["ds_gpu_memory_used_bytes", ""] - idle["ds_gpu_memory_used_bytes", ""] > 2 * 8192 * 8192 * 2
    assert (idle["ds_gpu_throttle_active", "power_cap"], load["ds_gpu_throttle_active", "power_cap"]) == (
        0,
        1,
    )


def test_no_xid_happened_and_each_code_was_countable_from_zero() -> None:
    told = {label: value for (family, label), value in scraped("load").items() if "xid" in family}
    assert told == dict.fromkeys((*XIDS, "other"), 0)


def test_the_server_told_its_own_memory_and_its_kv_cache_on_the_gpu() -> None:
    told = scraped("server")
    reserved, allocated = told["ds_gpu_memory_reserved_bytes", ""], told["ds_gpu_memory_allocated_bytes", ""]
    assert 0 < allocated < reserved < told["ds_gpu_memory_used_bytes", ""]
    assert told["ds_gpu_memory_fragmentation_ratio", "slack"] == pytest.approx(1 - allocated / reserved)
    (row,) = list(csv.reader((RECORDINGS / "server-apps.csv").read_text().splitlines()))[1:]
    process_bytes = float(row[1].split()[0]) * 2**20
    assert reserved < process_bytes <= told["ds_gpu_memory_used_bytes", ""]
    (line,) = [
        line
        for line in (RECORDINGS / "server.prom").read_text().splitlines()
        if line.startswith("ds_kv_cache_fragmentation_ratio{")
    ]
    # Eight requests, each with 64 of 364 positions prompt, some way through their answers.
    assert 0 < float(line.split()[1]) < 300 / 364


def fragmentation(step: str) -> Samples:
    return scraped(f"fragmentation-{step}")


def test_fragmenting_memory_on_purpose_moved_both_ratios_and_nothing_that_nvidia_smi_has() -> None:
    filled, fragmented, after = fragmentation("filled"), fragmentation("fragmented"), fragmentation("after")
    for kind in ("slack", "split"):
        ratio = ("ds_gpu_memory_fragmentation_ratio", kind)
        assert filled[ratio] < 0.01
        assert 0.45 < fragmented[ratio] < 0.55
        assert after[ratio] == 0
    used = ("ds_gpu_memory_used_bytes", "")
    assert filled[used] == fragmented[used]
    steps = {
        row["step"]: row
        for row in csv.DictReader((RECORDINGS / "fragmentation.csv").read_text().splitlines())
    }
    assert steps["filled"]["smi_used_mib"] == steps["fragmented"]["smi_used_mib"]


def test_an_allocation_of_half_of_what_was_free_was_refused_and_counted() -> None:
    before, refused = fragmentation("fragmented"), fragmentation("refused")
    reserved, allocated = ("ds_gpu_memory_reserved_bytes", ""), ("ds_gpu_memory_allocated_bytes", "")
    assert before[reserved] - before[allocated] > 8 * GIB
    for family in ("ds_gpu_allocator_retries_total", "ds_gpu_allocator_ooms_total"):
        assert (before[family, ""], refused[family, ""]) == (0, 1)
    assert refused[reserved] - refused[allocated] > 7.9 * GIB


def test_the_recordings_name_no_device_of_anybody() -> None:
    text = "".join(
        path.read_text() for path in Path(RECORDINGS).iterdir() if path.suffix in (".prom", ".csv")
    )
    made_up = {f"GPU-00000000-0000-4000-8000-00000000020{number}" for number in range(4)}
    assert {part.split('"')[0] for part in text.split('uuid="')[1:]} == made_up


def test_what_linked_cards_sent_each_other_is_what_they_received() -> None:
    before, after = recorded("four-linked-before"), recorded("four-linked-after")
    names = ("ds_gpu_nvlink_bytes_total", "ds_gpu_nvlink_links_active")
    assert [value for name, _, value in after if name == names[1]] == [18.0] * 4
    assert sum(value for name, _, value in before if name == names[0]) == 0
    sent, received = (
        sum(value for name, labels, value in after if name == names[0] and labels["direction"] == direction)
        for direction in ("tx", "rx")
    )
    assert sent > 1e12
    assert abs(sent - received) < 1e4


def recorded(name: str) -> list[tuple[str, dict[str, str], float]]:
    text = (Path(RECORDINGS) / f"{name}.prom").read_text()
    families = text_string_to_metric_families(text)
    return [(one.name, dict(one.labels), one.value) for family in families for one in family.samples]
