"""Gray failure: probes that pass, while a completion of the witness' own hangs or is refused."""

from chaos.targets.engine_effects import GrayFailure
from chaos.targets.local.means.client import ClientWitness
from chaos.targets.local.means.completion import Heard, answers
from chaos.targets.local.means.door import DoorEnforcer, no_door
from chaos.targets.local.means.means import Means
from chaos.targets.local.wire import Message

_PROBE_WITHIN_S = 1.0


class _Enforcer(DoorEnforcer[GrayFailure]):
    def order(self, effect: GrayFailure) -> Message:
        return {"fault": "gray-failure", "answer": effect.answer}


class _Witness(ClientWitness[GrayFailure]):
    def is_struck(self, effect: GrayFailure, before: Heard, now: Heard) -> bool:  # noqa: ARG002
        return now.status == 503 if effect.answer == "503" else now.status is None and now.ended == "silence"

    def look_beside(self, port: int) -> str | None:
        paths = (self.view.spec.liveness.path, self.view.spec.readiness.path)
        silent = [path for path in paths if not answers(port, path, _PROBE_WITHIN_S)]
        return f"{' and '.join(silent)} did not pass" if silent else None

    def said_beside(self) -> str:
        return f"; {self.view.spec.liveness.path} and {self.view.spec.readiness.path} passed"


MEANS = Means(GrayFailure, _Enforcer, _Witness, no_door)
