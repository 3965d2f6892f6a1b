"""A device error, emulated on two planes: the exporter counts an XID event, and then every step fails.

No device is touched. Either plane alone would leave half of a system unaware: a drill of a node's repair reads the
series, a gateway meets the errors.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from exporters.gpu import DeviceSource
from exporters.gpu_sources import Device
from exporters.series.gpu import OTHER_XID, XIDS
from reference_server.faults.order import Inside, Order, Step, Undo

if TYPE_CHECKING:
    from reference_server.core import Core

EMULATED = "emulated"
"""The UUID of the device that has the error where there is none."""


class EmulatedDeviceError(RuntimeError):
    """What a step meets on a device that failed."""


class DeviceError(Order):
    """The first device reports `xid` at once; steps fail from `after_s` on."""

    fault: Literal["device-error"]
    xid: Annotated[int, Field(ge=1, le=999)]
    after_s: Annotated[float, Field(ge=0, le=60)]

    def begin(self, inside: Inside) -> Undo:
        """Report now, fail then."""
        fails_s = time.monotonic() + self.after_s
        code = str(self.xid) if str(self.xid) in XIDS else OTHER_XID

        def failing(step: Step) -> Step:
            def fail(core: "Core") -> None:
                if time.monotonic() >= fails_s:
                    raise EmulatedDeviceError(
                        f"device error, XID {self.xid} (emulated, a fault that was injected)"
                    )
                step(core)

            return fail

        def reporting(devices: DeviceSource) -> DeviceSource:
            return lambda: _with_event(devices(), code)

        take_off = (inside.step.put_on(failing), inside.devices.put_on(reporting))

        def undo() -> None:
            for layer in take_off:
                layer()

        return undo


def _with_event(devices: Sequence[Device], code: str) -> Sequence[Device]:
    """The first device with one more event; a machine without any gets one that is called what it is."""
    first, *others = devices or (Device(0, EMULATED, used_bytes=0),)
    known: Mapping[str, int] = first.xid_events or dict.fromkeys((*XIDS, OTHER_XID), 0)
    return (replace(first, xid_events={**known, code: known.get(code, 0) + 1}), *others)
