"""A shifted clock: whatever the server's own code reads as the time of the wall is wrong."""

from typing import Annotated, Literal

from pydantic import Field

from reference_server.faults.order import Clock, Inside, Order, Undo


class ClockShift(Order):
    """So many seconds ahead, or behind; what is measured by the monotonic clock is as it was."""

    fault: Literal["clock-shift"]
    offset_s: Annotated[float, Field(ge=-1e9, le=1e9)]

    def begin(self, inside: Inside) -> Undo:
        """Read another time from now on."""
        offset_s = self.offset_s

        def shifted(clock: Clock) -> Clock:
            return lambda: clock() + offset_s

        return inside.clock.put_on(shifted)
