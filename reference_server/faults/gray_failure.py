"""Gray failure: the probes say 200, and nothing is generated; or every completion is refused."""

import threading
from typing import TYPE_CHECKING, Literal

from reference_server.faults.order import Inside, Order, Refusal, Step, Undo

if TYPE_CHECKING:
    from reference_server.core import Core


class GrayFailure(Order):
    """`hang`: the engine stands still and claims to idle; `503`: every completion is refused as by one that loads."""

    fault: Literal["gray-failure"]
    answer: Literal["hang", "503"]

    def begin(self, inside: Inside) -> Undo:
        """Stand still, or refuse."""
        return _refuse(inside) if self.answer == "503" else _hang(inside)


def _refuse(inside: Inside) -> Undo:
    def refusing(_: Refusal) -> Refusal:
        return lambda: "it fails every request (a fault that was injected)"

    return inside.refusal.put_on(refusing)


def _hang(inside: Inside) -> Undo:
    engine, over = inside.engine, threading.Event()

    def hanging(_: Step) -> Step:
        def hang(_: "Core") -> None:
            engine.claim_idle()
            over.wait()  # not for ever: a server that leaves ends its faults before it waits for its engine

        return hang

    take_off = inside.step.put_on(hanging)

    def undo() -> None:
        take_off()  # first: whoever is released goes on with what lies below
        over.set()

    return undo
