"""What runs in a replica is killed; the replica stays listed, and starts it again as after any other crash."""

from collections.abc import Sequence

from chaos.targets.effects import Crash
from chaos.targets.local.means.means import Enforcer, Left, Means, ProcessWitness
from chaos.targets.local.pod import Pod
from chaos.targets.local.spec import LocalSpec


class _Enforcer(Enforcer[Crash]):
    async def cause(self, occurrence: str, effect: Crash, pods: Sequence[Pod]) -> float:  # noqa: ARG002
        return min([pod.crash(occurrence) for pod in pods])


class _Witness(ProcessWitness[Crash]):
    needs_process = True

    def judge(self, left: Left) -> tuple[bool, str]:
        return left.listed and not left.alive, ""


def other_containers(names: Sequence[str], spec: LocalSpec) -> str | None:
    """Why none of these containers is one that replicas have here; None where one is, or none is named."""
    if not names or spec.app in names:
        return None
    return f"a replica here has one container, {spec.app}: {', '.join(names)}"


MEANS = Means(Crash, _Enforcer, _Witness, lambda effect, spec: other_containers(effect.containers, spec))
