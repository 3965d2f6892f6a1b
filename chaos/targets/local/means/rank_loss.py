"""The loss of one rank: a process of a sharded replica is killed, and its group of ranks starts anew."""

import time
from collections.abc import Sequence

import psutil

from chaos.targets import Evidence
from chaos.targets.engine_effects import RankLoss
from chaos.targets.identity import ProcessId
from chaos.targets.local.means.means import Enforcer, Means, Sight, Witness, lives
from chaos.targets.local.pod import Pod
from chaos.targets.local.spec import LocalSpec

_GRID = ("DS_TENSOR_PARALLEL", "DS_PIPELINE_PARALLEL")


class _Enforcer(Enforcer[RankLoss]):
    async def cause(self, occurrence: str, effect: RankLoss, pods: Sequence[Pod]) -> float:  # noqa: ARG002
        ranks = [_ranks(pod)[effect.rank] for pod in pods]  # all are known before the first is touched
        at_s = time.monotonic()
        for rank in ranks:
            rank.kill()
        return at_s


def _ranks(pod: Pod) -> list[ProcessId]:
    """The ranks of a replica in the order of their start: the server's nursery forks them one by one."""
    if pod.pid is None:
        raise LookupError(f"{pod.name} has no process now")
    below = psutil.Process(pod.pid).children(recursive=True)
    leaves = sorted((each for each in below if each.ppid() != pod.pid), key=lambda each: each.pid)
    return [rank for each in leaves if (rank := ProcessId.of(each.pid)) is not None]


class _Witness(Witness[RankLoss]):
    def hit(self, sight: Sight[RankLoss]) -> Sequence[Evidence]:
        rows = self.view.rows()
        evidence = []
        for victim in sight.victims:
            if len(sight.processes.get(victim.uid, ())) < 2:
                evidence.append(Evidence(victim.name, verified=False, how="was one process before the fault"))
                continue
            alive, how = lives(sight, victim, listed=victim.uid in rows)
            leads = (
                any(each.pid == rows[victim.uid]["pid"] for each in alive) if victim.uid in rows else False
            )
            fewer = len(alive) < len(sight.processes[victim.uid])
            evidence.append(Evidence(victim.name, verified=leads and fewer, how=how))
        return evidence


def _not_sharded(effect: RankLoss, spec: LocalSpec) -> str | None:
    """Why a replica has no such rank."""
    if not spec.is_reference_server:
        return f"which processes of {spec.command[0]} are ranks is not known here"
    ranks = 1
    for name in _GRID:
        ranks *= int(spec.env.get(name, "1"))
    if ranks == 1:
        return f"replicas are not sharded: {' and '.join(_GRID)} are 1"
    return None if effect.rank < ranks else f"replicas have ranks 0 to {ranks - 1}, and no {effect.rank}"


MEANS = Means(RankLoss, _Enforcer, _Witness, _not_sharded)
