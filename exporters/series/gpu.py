"""The GPU series: devices as NVML tells them, and the torch allocator of the exporting process.

A figure that a device does not have (NVLink on a single card, ECC on a consumer one) has no series: absent is not 0.
"""

from exporters.series.family import Family

_DEVICE = ("gpu", "uuid")

CLOCKS = ("sm", "memory")
THROTTLE_REASONS = ("power_cap", "hw_slowdown", "sync_boost", "sw_thermal", "hw_thermal", "power_brake")
"""Why clocks are held down. Being idle and clocks that an operator has set are no throttling."""
ECC_KINDS = ("corrected", "uncorrected")
NVLINK_DIRECTIONS = ("tx", "rx")
ALLOCATOR_KINDS = ("slack", "split")
XIDS = ("13", "31", "43", "45", "48", "63", "64", "74", "79", "92", "94", "95", "119")
"""The codes that get a series of their own, from the start: https://docs.nvidia.com/deploy/xid-errors/"""
OTHER_XID = "other"

GPU_UP = Family(
    "ds_gpu_up",
    "gauge",
    "1 when NVML answers and lists a GPU, else 0 and no other GPU family. Asked once a second.",
)
GPU_MEMORY_USED = Family(
    "ds_gpu_memory_used_bytes",
    "gauge",
    "Allocated memory of the whole device, by whichever process (NVML, without what the driver reserves). "
    "Replicas that share a device all report it: aggregate with max by (uuid).",
    unit="bytes",
    labels=_DEVICE,
    signal="gpu_memory_used",
)
GPU_MEMORY_TOTAL = Family(
    "ds_gpu_memory_total_bytes",
    "gauge",
    "Memory of the whole device.",
    unit="bytes",
    labels=_DEVICE,
    signal="gpu_memory_total",
)
GPU_UTILIZATION = Family(
    "ds_gpu_utilization_ratio",
    "gauge",
    "Share of the driver's last sample period in which any kernel ran: 1 does not mean that the device is full.",
    unit="ratio",
    labels=_DEVICE,
    signal="gpu_util",
)
GPU_POWER = Family(
    "ds_gpu_power_watts",
    "gauge",
    "Power draw of the board.",
    unit="watts",
    labels=_DEVICE,
    signal="gpu_power",
)
GPU_TEMPERATURE = Family(
    "ds_gpu_temperature_celsius",
    "gauge",
    "Temperature of the GPU die.",
    unit="celsius",
    labels=_DEVICE,
    signal="gpu_temperature",
)
GPU_CLOCK = Family(
    "ds_gpu_clock_hertz",
    "gauge",
    "Current clock of the streaming multiprocessors (sm) or of the memory.",
    unit="hertz",
    labels=(*_DEVICE, "clock"),
    signal="gpu_clock",
)
GPU_THROTTLE = Family(
    "ds_gpu_throttle_active",
    "gauge",
    "1 while this holds the clocks down: power_cap (usual under full load), sw_thermal, hw_thermal, power_brake, "
    "sync_boost, or hw_slowdown (any of the hardware's).",
    labels=(*_DEVICE, "reason"),
    signal="gpu_throttle",
)
GPU_ECC_ERRORS = Family(
    "ds_gpu_ecc_errors_total",
    "counter",
    "Memory errors since the driver was loaded, corrected or not.",
    unit="errors",
    labels=(*_DEVICE, "kind"),
    signal="gpu_ecc_errors",
)
GPU_XID_EVENTS = Family(
    "ds_gpu_xid_events_total",
    "counter",
    "XID events since this exporter started, by code; rarer codes are `other`. Repeats of one code count.",
    unit="events",
    labels=(*_DEVICE, "xid"),
    signal="gpu_xid_events",
)
GPU_NVLINK_LINKS = Family(
    "ds_gpu_nvlink_links_active",
    "gauge",
    "NVLink links that are up; absent where there is none.",
    unit="links",
    labels=_DEVICE,
)
GPU_NVLINK_BYTES = Family(
    "ds_gpu_nvlink_bytes_total",
    "counter",
    "Payload over all NVLink links of the device.",
    unit="bytes",
    labels=(*_DEVICE, "direction"),
    signal="gpu_nvlink_bytes",
)
GPU_MEMORY_RESERVED = Family(
    "ds_gpu_memory_reserved_bytes",
    "gauge",
    "Memory that this process's torch allocator holds from the device.",
    unit="bytes",
    labels=("gpu",),
    signal="gpu_memory_reserved",
)
GPU_MEMORY_ALLOCATED = Family(
    "ds_gpu_memory_allocated_bytes",
    "gauge",
    "Memory that this process's torch allocator has handed to tensors.",
    unit="bytes",
    labels=("gpu",),
)
GPU_MEMORY_FRAGMENTATION = Family(
    "ds_gpu_memory_fragmentation_ratio",
    "gauge",
    "Of the torch allocator: slack = 1 - allocated / reserved; split = inactive split blocks / reserved. "
    "Absent while nothing is reserved.",
    unit="ratio",
    labels=("gpu", "kind"),
    signal="gpu_memory_fragmentation",
)
GPU_ALLOCATOR_RETRIES = Family(
    "ds_gpu_allocator_retries_total",
    "counter",
    "Allocations of this process's torch allocator that first had to give cached memory back.",
    unit="retries",
    labels=("gpu",),
)
GPU_ALLOCATOR_OOMS = Family(
    "ds_gpu_allocator_ooms_total",
    "counter",
    "Out-of-memory errors that this process's torch allocator raised.",
    unit="errors",
    labels=("gpu",),
)

FAMILIES = (
    *(GPU_UP, GPU_MEMORY_USED, GPU_MEMORY_TOTAL, GPU_UTILIZATION, GPU_POWER, GPU_TEMPERATURE),
    *(GPU_CLOCK, GPU_THROTTLE, GPU_ECC_ERRORS, GPU_XID_EVENTS, GPU_NVLINK_LINKS, GPU_NVLINK_BYTES),
    *(GPU_MEMORY_RESERVED, GPU_MEMORY_ALLOCATED, GPU_MEMORY_FRAGMENTATION),
    *(GPU_ALLOCATOR_RETRIES, GPU_ALLOCATOR_OOMS),
)
