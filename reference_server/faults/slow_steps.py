"""Slow steps: each takes so many times as long as it would, as on a device that throttles or is shared."""

import time
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from reference_server.faults.order import Inside, Order, Step, Undo

if TYPE_CHECKING:
    from reference_server.core import Core


class SlowSteps(Order):
    """`factor` times as long; the steps' own minimum (`DS_MIN_STEP_SECONDS`) included."""

    fault: Literal["slow-steps"]
    factor: Annotated[float, Field(gt=1, le=1000)]

    def begin(self, inside: Inside) -> Undo:
        """Wait after each step, for as long as it took times the factor less one."""
        longer = self.factor - 1

        def slowed(step: Step) -> Step:
            def slow(core: "Core") -> None:
                began_s = time.monotonic()
                step(core)
                time.sleep(longer * (time.monotonic() - began_s))

            return slow

        return inside.step.put_on(slowed)
