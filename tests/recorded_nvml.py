"""NVML without a GPU: answers as `pynvml` gives them, by function and device, played back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml

SM_MHZ, MEM_MHZ = 1980, 2619


@dataclass
class RecordedDevice:
    """What one device answers; an exception is raised, and a function that is not named is not supported."""

    uuid: str
    answers: dict[str, Any]


def data_centre_card(uuid: str) -> RecordedDevice:
    """One of two linked cards, busy and at its power cap."""
    return RecordedDevice(
        uuid,
        {
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=71 * 2**30, total=141 * 2**30),
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=87, memory=40),
            "nvmlDeviceGetPowerUsage": 698_500,
            "nvmlDeviceGetTemperature": 61,
            "nvmlDeviceGetClockInfo": {pynvml.NVML_CLOCK_SM: SM_MHZ, pynvml.NVML_CLOCK_MEM: MEM_MHZ},
            "nvmlDeviceGetCurrentClocksEventReasons": pynvml.nvmlClocksEventReasonSwPowerCap
            | pynvml.nvmlClocksEventReasonGpuIdle,
            "nvmlDeviceGetTotalEccErrors": {
                pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED: 3,
                pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED: 0,
            },
            "nvmlDeviceGetNvLinkState": dict.fromkeys(range(18), 1) | {4: 0},
            "nvmlDeviceGetFieldValues": [
                SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(ullVal=2048)),
                SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(ullVal=1)),
            ],
            "nvmlDeviceRegisterEvents": None,
        },
    )


def consumer_card(uuid: str) -> RecordedDevice:
    """No ECC, no NVLink, no events."""
    card = data_centre_card(uuid)
    for name in ("TotalEccErrors", "NvLinkState", "FieldValues"):
        del card.answers[f"nvmlDeviceGet{name}"]
    del card.answers["nvmlDeviceRegisterEvents"]
    return card


@dataclass
class RecordedNvml:
    """Stands for the module `pynvml`: its constants and errors are the real ones."""

    devices: list[RecordedDevice]
    events: list[tuple[int, int]] = field(default_factory=list)
    """Queued XID events: index of the device, code."""
    lost: bool = False
    starts: int = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("nvmlDevice"):
            return self._of_device(name)
        return getattr(pynvml, name)

    def nvmlInit(self) -> None:  # noqa: N802  NVML's names
        self.starts += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        if self.lost:
            raise pynvml.NVMLError_GpuIsLost
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetIndex(self, handle: int) -> int:  # noqa: N802
        return handle

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return self.devices[handle].uuid

    def nvmlEventSetCreate(self) -> str:  # noqa: N802
        return "event set"

    def nvmlEventSetWait_v2(self, _events: str, timeout_ms: int) -> SimpleNamespace:  # noqa: N802
        assert timeout_ms == 0, "a poll waits for nothing"
        if not self.events:
            raise pynvml.NVMLError_Timeout
        device, code = self.events.pop(0)
        return SimpleNamespace(device=device, eventData=code)

    def _of_device(self, name: str) -> Callable[..., Any]:
        def ask(handle: int, *arguments: Any, **_: Any) -> Any:
            answers = self.devices[handle].answers
            if name not in answers:
                raise pynvml.NVMLError_NotSupported
            answer = answers[name]
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, dict):
                if arguments[0] not in answer:
                    raise pynvml.NVMLError_InvalidArgument
                return answer[arguments[0]]
            return answer

        return ask
