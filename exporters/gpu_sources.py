"""What is known of a GPU at one moment: the device as its driver lists it, and torch's allocator on it.

torch is never loaded from here: a process that has not imported it has no allocator to report.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU. What it does not have is None, or missing from its mapping; keys are those of `series/gpu.py`."""

    index: int
    uuid: str
    used_bytes: int
    total_bytes: int | None = None
    utilization_ratio: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    clocks_hz: Mapping[str, float] = field(default_factory=dict)
    throttle: Mapping[str, bool] = field(default_factory=dict)
    ecc_errors: Mapping[str, int] = field(default_factory=dict)
    xid_events: Mapping[str, int] | None = None
    nvlink_links: int | None = None
    nvlink_bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Allocator:
    """The caching allocator of torch on one device."""

    allocated_bytes: int
    reserved_bytes: int
    inactive_split_bytes: int
    """Free pieces of blocks that also hold tensors: they cannot go back to the device."""
    retries: int = 0
    ooms: int = 0


def torch_allocators() -> Mapping[str, Allocator]:
    """The allocator of each device by UUID; empty unless this process has started CUDA through torch."""
    if "torch" not in sys.modules:
        return {}
    torch = import_module("torch")  # loaded already, but perhaps not to its end: this waits for that

    if not torch.cuda.is_initialized():
        return {}
    return {
        f"GPU-{torch.cuda.get_device_properties(ordinal).uuid}": _allocator(torch.cuda.memory_stats(ordinal))
        for ordinal in range(torch.cuda.device_count())
    }


def _allocator(stats: Mapping[str, int]) -> Allocator:
    return Allocator(
        allocated_bytes=stats["allocated_bytes.all.current"],
        reserved_bytes=stats["reserved_bytes.all.current"],
        inactive_split_bytes=stats["inactive_split_bytes.all.current"],
        retries=stats["num_alloc_retries"],
        ooms=stats["num_ooms"],
    )
