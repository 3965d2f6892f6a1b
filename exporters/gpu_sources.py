"""Where GPU figures come from: NVML for the devices, torch for its allocator; imported when first asked.

torch is never loaded from here: a process that has not imported it has no allocator to report.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU as NVML lists it."""

    index: int
    uuid: str
    used_bytes: int


@dataclass(frozen=True, slots=True)
class Allocator:
    """The caching allocator of torch on one device."""

    allocated_bytes: int
    reserved_bytes: int
    inactive_split_bytes: int
    """Free pieces of blocks that also hold tensors: they cannot go back to the device."""


class NvmlDevices:
    """Asks NVML about every device; there is none where NVML is not installed. Needs driver 510 or newer."""

    def __init__(self) -> None:
        self._initialised = False

    def __call__(self) -> Sequence[Device]:
        """Every device now.

        Raises:
            pynvml.NVMLError: NVML is there and cannot answer; the next call starts it anew.
        """
        try:
            import pynvml
        except ImportError:
            return ()
        try:
            if not self._initialised:
                pynvml.nvmlInit()
                self._initialised = True
            return [_device(index) for index in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError_LibraryNotFound:
            return ()
        except pynvml.NVMLError:
            # A driver that was reset answers only those who begin again.
            if self._initialised:
                self._initialised = False
                with suppress(pynvml.NVMLError):
                    pynvml.nvmlShutdown()
            raise


def _device(index: int) -> Device:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    # Version 2 counts as `used` what was allocated; version 1 adds what the driver keeps for itself.
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    return Device(index, pynvml.nvmlDeviceGetUUID(handle), memory.used)


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
    )
