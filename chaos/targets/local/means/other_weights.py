"""Other weights: the replica restarts with another model under the same name, and its greedy answers differ."""

import hashlib
import time
from collections.abc import Sequence

from chaos.targets import Evidence
from chaos.targets.engine_effects import OtherWeights
from chaos.targets.local.cluster import Cluster
from chaos.targets.local.means.client import ClientSight, ClientWitness
from chaos.targets.local.means.completion import Heard
from chaos.targets.local.means.means import Enforcer, Means, Sight, there
from chaos.targets.local.pod import Pod
from chaos.targets.local.spec import LocalSpec

_OTHER_SEED = "12648430"
"""Of weights that nobody else asks for."""


class _Enforcer(Enforcer[OtherWeights]):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._changed: dict[str, Sequence[Pod]] = {}

    async def cause(self, occurrence: str, effect: OtherWeights, pods: Sequence[Pod]) -> float:
        other = {"DS_MODEL_PATH": effect.model_path} if effect.model_path else {"DS_SEED": _OTHER_SEED}
        self._changed[occurrence] = pods
        at_s = time.monotonic()
        for pod in pods:
            pod.restart(other, occurrence)
        return at_s

    async def undo(self, occurrence: str) -> None:
        for pod in self._changed.pop(occurrence, ()):
            pod.restart({}, f"{occurrence} is over")


class _Witness(ClientWitness[OtherWeights]):
    """Compares a digest of greedy text, which is the same for the same weights."""

    tokens = 16

    def is_struck(self, effect: OtherWeights, before: Heard, now: Heard) -> bool:  # noqa: ARG002
        return now.ended == "done" and now.text != before.text

    def unharmed(self, sight: Sight[OtherWeights]) -> Sequence[Evidence]:
        assert isinstance(sight, ClientSight)
        rows = self.view.rows()
        now = self.of_each(sight.victims, lambda port: self.hear(port, sight.effect, 5.0))
        evidence = []
        for victim in sight.victims:
            if victim.uid not in rows:
                evidence.append(there(victim, listed=False))
                continue
            heard, before = now.get(victim.uid, Heard()), sight.before.get(victim.uid, Heard())
            same = heard.ended == "done" and (before.ended != "done" or heard.text == before.text)
            evidence.append(Evidence(victim.name, verified=same, how=self.in_words(before, heard)))
        return evidence

    def in_words(self, before: Heard, now: Heard) -> str:
        digests = [hashlib.sha256(heard.text.encode()).hexdigest()[:12] for heard in (now, before)]
        return f"a greedy completion {now}, digest {digests[0]}; before the fault {digests[1]}"


def _no_other(effect: OtherWeights, spec: LocalSpec) -> str | None:
    """Why there are no other weights that these replicas could serve."""
    if not spec.is_reference_server:
        return f"only the reference server's weights are known here: {spec.command[0]}"
    if "DS_MODEL_PATH" in spec.env and effect.model_path is None:
        return "replicas serve DS_MODEL_PATH: name another model's folder of yours as modelPath"
    return None


MEANS = Means(OtherWeights, _Enforcer, _Witness, _no_other)
