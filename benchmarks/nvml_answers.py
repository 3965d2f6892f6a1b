"""What NVML answers, as JSON: to the questions of the exporter, and to those that its documentation leaves open."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any


class RecordingNvml:
    """NVML with every question and answer about devices kept, as JSON can hold them."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self.kept: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        """A constant, an error, or a function that is recorded."""
        found = getattr(self._nvml, name)
        if not name.startswith(("nvmlDeviceGet", "nvmlDeviceRegister", "nvmlEvent")) or not callable(found):
            return found

        def asked(*arguments: Any, **options: Any) -> Any:
            question = {"function": name, "arguments": [a for a in map(plain, arguments) if a != "handle"]}
            try:
                answer = found(*arguments, **options)
            except self._nvml.NVMLError as error:
                self.kept.append({**question, "error": type(error).__name__})
                raise
            self.kept.append({**question, "answer": plain(answer)})
            return answer

        return asked


def plain(value: Any) -> Any:
    """As JSON holds it; structures become their fields, pointers the word `handle`."""
    if value is None or isinstance(value, int | float | str | bytes):
        return value.decode() if isinstance(value, bytes) else value
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple) or hasattr(value, "_length_"):
        return [plain(item) for item in value]
    fields = [name for name, *_ in getattr(value, "_fields_", ())]
    if not fields or hasattr(value, "contents"):
        return "handle"
    if type(value).__name__.endswith("Value_t") and "ullVal" in fields:
        return {"ullVal": value.ullVal}
    return {name: plain(getattr(value, name)) for name in fields}


def doubts(nvml: Any) -> dict[str, Any]:
    """What documentation left open about NVLink counters, event sets and versions."""
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    scopes = (0xFFFFFFFF, *range(18))
    names = [
        f"NVML_FI_DEV_NVLINK_{n}"
        for n in (
            "THROUGHPUT_DATA_TX",
            "THROUGHPUT_DATA_RX",
            "THROUGHPUT_RAW_TX",
            "THROUGHPUT_RAW_RX",
            "COUNT_XMIT_BYTES",
            "COUNT_RCV_BYTES",
            "LINK_COUNT",
        )
    ]
    names = [name for name in names if hasattr(nvml, name)]
    fields = {
        name: [
            [value.scopeId, value.nvmlReturn, value.valueType, value.value.ullVal]
            for value in nvml.nvmlDeviceGetFieldValues(
                handle, [(getattr(nvml, name), scope) for scope in scopes]
            )
        ]
        for name in names
    }

    def answer(ask: Callable[[], Any]) -> Any:
        began_s = time.perf_counter()
        try:
            told = plain(ask())
        except nvml.NVMLError as error:
            told = type(error).__name__
        return {"answer": told, "took_ms": round(1000 * (time.perf_counter() - began_s), 3)}

    events = nvml.nvmlEventSetCreate()
    return {
        "driver": nvml.nvmlSystemGetDriverVersion(),
        "device": nvml.nvmlDeviceGetName(handle),
        "binding": nvml.__version__ if hasattr(nvml, "__version__") else None,
        "memory_v1": answer(lambda: nvml.nvmlDeviceGetMemoryInfo(handle)),
        "memory_v2": answer(lambda: nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)),
        "field_values [scope, nvmlReturn, valueType, ullVal]": fields,
        "links": [answer(partial(nvml.nvmlDeviceGetNvLinkState, handle, link)) for link in range(20)],
        "links_last": answer(lambda: nvml.nvmlDeviceGetNvLinkState(handle, 35)),
        "supported_events": answer(lambda: nvml.nvmlDeviceGetSupportedEventTypes(handle)),
        "wait_unregistered": answer(lambda: nvml.nvmlEventSetWait_v2(events, 0)),
        "register": answer(
            lambda: nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, events)
        ),
        "waits": [answer(lambda: nvml.nvmlEventSetWait_v2(events, 0)) for _ in range(5)],
        "event_set_free": answer(lambda: nvml.nvmlEventSetFree(events)),
        "mig": answer(lambda: nvml.nvmlDeviceGetMigMode(handle)),
        "process_memory": answer(
            lambda: [
                {"pid": p.pid, "used": p.usedGpuMemory}
                for p in nvml.nvmlDeviceGetComputeRunningProcesses(handle)
            ]
        ),
    }
