"""NVML without a GPU: answers as `pynvml` gives them, by function and device, played back."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pynvml

RECORDINGS = Path(__file__).parents[1] / "data" / "h200"


@dataclass
class RecordedDevice:
    """What one device answers; an exception is raised, and a function that is not named is not supported."""

    uuid: str
    answers: dict[str, Any]


def h200(phase: Literal["idle", "load"], uuid: str = "GPU-a") -> RecordedDevice:
    """A real H200: all that it answered to one poll. It has no NVLink, for its machine has no other GPU."""
    answers: dict[str, Any] = {}
    for told in json.loads((RECORDINGS / f"nvml-{phase}.json").read_text()):
        answer = getattr(pynvml, told["error"])() if "error" in told else _as_given(told["answer"])
        if told["function"] in ("nvmlDeviceGetClockInfo", "nvmlDeviceGetTotalEccErrors"):
            answers.setdefault(told["function"], {})[told["arguments"][0]] = answer
        elif told["function"] not in _OF_THE_MACHINE:
            answers[told["function"]] = answer
    answers.setdefault("nvmlDeviceRegisterEvents", None)  # asked for once, by the first poll
    return RecordedDevice(uuid, answers)


_OF_THE_MACHINE = (
    *("nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID", "nvmlDeviceGetIndex"),
    *("nvmlEventSetCreate", "nvmlEventSetWait_v2"),
)


def _as_given(answer: Any) -> Any:
    if isinstance(answer, dict):
        return SimpleNamespace(**{name: _as_given(value) for name, value in answer.items()})
    return [_as_given(item) for item in answer] if isinstance(answer, list) else answer


def data_centre_card(uuid: str) -> RecordedDevice:
    """The H200 under load, with what its machine could not show: one of two linked cards, and some errors corrected.

    NVLink's answers are made by NVML's documentation.
    """
    card = h200("load", uuid)
    card.answers["nvmlDeviceGetTotalEccErrors"] = {
        pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED: 3,
        pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED: 0,
    }
    card.answers["nvmlDeviceGetNvLinkState"] = dict.fromkeys(range(18), 1) | {4: 0}
    card.answers["nvmlDeviceGetFieldValues"] = [
        SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(ullVal=kib)) for kib in (2048, 1)
    ]
    return card


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
