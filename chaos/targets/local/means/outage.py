"""Nothing runs in a replica for a while: what ran is killed, and not started again before the end of the outage."""

from collections.abc import Sequence

from chaos.targets import Evidence
from chaos.targets.effects import Outage
from chaos.targets.local.means.means import Enforcer, Left, Means, ProcessWitness, Sight, there
from chaos.targets.local.pod import Pod


class _Enforcer(Enforcer[Outage]):
    async def cause(self, occurrence: str, effect: Outage, pods: Sequence[Pod]) -> float:  # noqa: ARG002
        return min([pod.go_down(occurrence) for pod in pods])

    async def undo(self, occurrence: str) -> None:
        deployment = self.cluster.deployment
        for pod in deployment.pods.values() if deployment is not None else ():
            pod.come_up(occurrence)


class _Witness(ProcessWitness[Outage]):
    needs_process = True

    def judge(self, left: Left) -> tuple[bool, str]:
        running = self.view.processes([left.victim]).get(left.victim.uid, ())
        said = ", ".join(str(process.pid) for process in running) or "nothing"
        return left.listed and not left.alive and not running, f"in it runs {said}"

    def unharmed(self, sight: Sight[Outage]) -> Sequence[Evidence]:
        """Something runs in it again, where it is still listed."""
        rows, now = self.view.rows(), self.view.processes(sight.victims)
        evidence = []
        for victim in sight.victims:
            if victim.uid not in rows:
                evidence.append(there(victim, listed=False))
                continue
            running = now.get(victim.uid, ())
            pids = ", ".join(str(process.pid) for process in running) or "nothing"
            how = f"in it runs {pids}, after {rows[victim.uid]['restarts']} restarts"
            evidence.append(Evidence(victim.name, verified=bool(running), how=how))
        return evidence


MEANS = Means(Outage, _Enforcer, _Witness)
