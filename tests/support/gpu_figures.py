"""The figures that the GPU exporter and nvidia-smi both tell, and how far apart they may be."""

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

MIB = 2**20
Samples = Mapping[tuple[str, str], float]
"""By family and last label (the clock, the reason, the kind; empty where there is none)."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure that both tell, and how far apart they may be beyond what changed within the second."""

    family: str
    label: str
    column: str
    factor: float
    """From nvidia-smi's unit to ours."""
    tolerance: float
    """In our unit: rounding, and how a figure moves between two readings."""


FIGURES = (
    Figure("ds_gpu_memory_used_bytes", "", "memory.used", MIB, MIB),
    Figure("ds_gpu_memory_total_bytes", "", "memory.total", MIB, MIB),
    Figure("ds_gpu_utilization_ratio", "", "utilization.gpu", 0.01, 0.05),
    Figure("ds_gpu_power_watts", "", "power.draw", 1, 15),
    Figure("ds_gpu_temperature_celsius", "", "temperature.gpu", 1, 1),
    Figure("ds_gpu_clock_hertz", "sm", "clocks.sm", 1e6, 60e6),
    Figure("ds_gpu_clock_hertz", "memory", "clocks.mem", 1e6, 0),
    Figure("ds_gpu_ecc_errors_total", "corrected", "ecc.errors.corrected.volatile.total", 1, 0),
    Figure("ds_gpu_ecc_errors_total", "uncorrected", "ecc.errors.uncorrected.volatile.total", 1, 0),
)
REASON_BITS = {
    "power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal": 0x20,
    "hw_thermal": 0x40,
    "power_brake": 0x80,
}
"""Of `clocks_event_reasons.active`, from NVML's header."""


def samples(text: str) -> Samples:
    """The device series of an exposition."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            last = [v for k, v in sample.labels.items() if k not in ("gpu", "uuid")]
            if sample.name.startswith("ds_gpu"):
                found[sample.name, last[0] if last else ""] = sample.value
    return found
