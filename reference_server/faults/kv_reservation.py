"""KV reservation: a share of the blocks is held by nobody who computes, so that others queue and are preempted."""

import math
import time
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from reference_server.faults.order import Inside, Order, Step, Undo

if TYPE_CHECKING:
    from reference_server.core import Core

_IDLE_S = 0.002
"""Between two looks of an engine whose waiting sequences do not fit: it would spin for the time of the fault."""


class KvReservation(Order):
    """`share` of all blocks, taken as they become free: those of running sequences when they end or are preempted."""

    fault: Literal["kv-reservation"]
    share: Annotated[float, Field(gt=0, le=1)]

    def begin(self, inside: Inside) -> Undo:
        """Take what is free now, and the rest before the steps that follow."""
        share, over = self.share, False
        held: list[int] = []

        def reserve(core: "Core") -> None:
            pool = core.scheduler.pool
            missing = 0 if over else math.ceil(share * pool.blocks) - len(held)
            if (count := min(missing, pool.available())) > 0:
                held.extend(pool.take(count))
                core.recount()

        def release(core: "Core") -> None:
            core.scheduler.pool.release(held)
            held.clear()
            core.recount()

        def short(step: Step) -> Step:
            def scarce(core: "Core") -> None:
                reserve(core)
                step(core)
                if not core.busy:
                    time.sleep(_IDLE_S)

            return scarce

        take_off = inside.step.put_on(short)
        inside.engine.call(reserve)

        def undo() -> None:
            nonlocal over
            over = True
            take_off()
            inside.engine.call(release)

        return undo
