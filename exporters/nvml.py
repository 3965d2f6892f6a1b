"""NVIDIA's devices as NVML tells them, each figure for itself: what a device does not have is None, never 0.

The only module that knows NVML, imported when first asked. Needs driver 510 or newer.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from exporters.gpu_sources import Device
from exporters.series.gpu import OTHER_XID, XIDS

T = TypeVar("T")
Nvml = Any
"""The functions and constants of `pynvml`: the module itself, or recorded answers of it."""

_EVERY_LINK = 0xFFFFFFFF
_MAX_EVENTS_PER_POLL = 1000
"""A device that reports without end must not keep the poll from ending."""


class NvmlDevices:
    """Asks NVML about every device; there is none where NVML is not installed."""

    def __init__(self, nvml: Nvml | None = None) -> None:
        self._nvml = nvml
        self._initialised = False
        self._xids: XidCounts | None = None
        self._counted: dict[str, Counter[str]] = {}

    def __call__(self) -> Sequence[Device]:
        """Every device now.

        Raises:
            pynvml.NVMLError: NVML is there and cannot answer; the next call starts it anew.
        """
        nvml = self._nvml or _installed()
        if nvml is None:
            return ()
        try:
            if not self._initialised:
                nvml.nvmlInit()
                self._initialised = True
            if self._xids is None:
                self._xids = XidCounts(nvml, self._counted)
            handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
            self._xids.collect()
            return [_device(nvml, handle, self._xids) for handle in handles]
        except nvml.NVMLError_LibraryNotFound:
            return ()
        except nvml.NVMLError:
            # A driver that was reset answers only those who begin again.
            self._xids = None
            if self._initialised:
                self._initialised = False
                with suppress(nvml.NVMLError):
                    nvml.nvmlShutdown()
            raise


class XidCounts:
    """XID events by device and code: the driver queues each one, repeats included, for whoever registered."""

    def __init__(self, nvml: Nvml, counted: dict[str, Counter[str]]) -> None:
        """Listen from now on, adding to `counted` (by UUID), which outlives a restart of NVML."""
        self._nvml = nvml
        self._counted = counted
        self._events = _optional(nvml, nvml.nvmlEventSetCreate)
        self._listened: set[str] = set()
        for index in range(nvml.nvmlDeviceGetCount() if self._events is not None else 0):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            with suppress(nvml.NVMLError_NotSupported, nvml.NVMLError_NoPermission):
                nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, self._events)
                self._listened.add(nvml.nvmlDeviceGetUUID(handle))

    def collect(self) -> None:
        """Count what was queued since the last call; waits for nothing."""
        if not self._listened:
            return
        with suppress(self._nvml.NVMLError_Timeout):
            for _ in range(_MAX_EVENTS_PER_POLL):
                event = self._nvml.nvmlEventSetWait_v2(self._events, 0)
                code = str(event.eventData)
                of_device = self._counted.setdefault(self._nvml.nvmlDeviceGetUUID(event.device), Counter())
                of_device[code if code in XIDS else OTHER_XID] += 1

    def of(self, uuid: str) -> Mapping[str, int] | None:
        """Events by code, every declared code among them; None where the device cannot report any."""
        if uuid not in self._listened:
            return None
        counted = self._counted.get(uuid, Counter())
        return {code: counted[code] for code in (*XIDS, OTHER_XID)}


def _installed() -> Nvml | None:
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


def _device(nvml: Nvml, handle: Any, xids: XidCounts) -> Device:
    # Version 2 counts as `used` what was allocated; version 1 adds what the driver keeps for itself.
    memory = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    power_mw = _optional(nvml, nvml.nvmlDeviceGetPowerUsage, handle)
    utilization = _optional(nvml, nvml.nvmlDeviceGetUtilizationRates, handle)
    uuid = nvml.nvmlDeviceGetUUID(handle)
    return Device(
        index=nvml.nvmlDeviceGetIndex(handle),
        uuid=uuid,
        used_bytes=memory.used,
        total_bytes=memory.total,
        utilization_ratio=None if utilization is None else utilization.gpu / 100,
        power_w=None if power_mw is None else power_mw / 1000,
        temperature_c=_optional(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
        clocks_hz=_clocks_hz(nvml, handle),
        throttle=_throttle(nvml, handle),
        ecc_errors=_ecc_errors(nvml, handle),
        xid_events=xids.of(uuid),
        nvlink_links=_nvlink_links(nvml, handle),
        nvlink_bytes=_nvlink_bytes(nvml, handle),
    )


def _optional(nvml: Nvml, ask: Callable[..., T], *arguments: Any) -> T | None:
    """The answer, or None where this device, driver or user cannot have one; other errors stay errors."""
    try:
        return ask(*arguments)
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_NoPermission):
        return None


def _clocks_hz(nvml: Nvml, handle: Any) -> Mapping[str, float]:
    mhz = {
        "sm": _optional(nvml, nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
        "memory": _optional(nvml, nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_MEM),
    }
    return {clock: value * 1e6 for clock, value in mhz.items() if value is not None}


def _throttle(nvml: Nvml, handle: Any) -> Mapping[str, bool]:
    mask = _optional(nvml, nvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
    if mask is None:
        return {}
    bits = {
        "power_cap": nvml.nvmlClocksEventReasonSwPowerCap,
        "hw_slowdown": nvml.nvmlClocksThrottleReasonHwSlowdown,
        "sync_boost": nvml.nvmlClocksEventReasonSyncBoost,
        "sw_thermal": nvml.nvmlClocksEventReasonSwThermalSlowdown,
        "hw_thermal": nvml.nvmlClocksThrottleReasonHwThermalSlowdown,
        "power_brake": nvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown,
    }
    return {reason: bool(mask & bit) for reason, bit in bits.items()}


def _ecc_errors(nvml: Nvml, handle: Any) -> Mapping[str, int]:
    errors = {
        kind: _optional(nvml, nvml.nvmlDeviceGetTotalEccErrors, handle, error_type, nvml.NVML_VOLATILE_ECC)
        for kind, error_type in (
            ("corrected", nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED),
            ("uncorrected", nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED),
        )
    }
    return {kind: count for kind, count in errors.items() if count is not None}


def _nvlink_links(nvml: Nvml, handle: Any) -> int | None:
    states = []
    # A device says how many links it has by refusing the first number beyond them.
    with suppress(nvml.NVMLError_InvalidArgument):
        for link in range(nvml.NVML_NVLINK_MAX_LINKS):
            state = _optional(nvml, nvml.nvmlDeviceGetNvLinkState, handle, link)
            if state is None:
                break
            states.append(state)
    return sum(states) if states else None


def _nvlink_bytes(nvml: Nvml, handle: Any) -> Mapping[str, int]:
    fields = [
        (nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, _EVERY_LINK),
        (nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, _EVERY_LINK),
    ]
    values = _optional(nvml, nvml.nvmlDeviceGetFieldValues, handle, fields) or ()
    return {
        direction: value.value.ullVal * 1024
        for direction, value in zip(("tx", "rx"), values, strict=False)
        if value.nvmlReturn == nvml.NVML_SUCCESS
    }
