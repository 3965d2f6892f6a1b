"""A noisy neighbour on a GPU: processes of ours that multiply matrices there; they end with the supervisor."""

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from chaos.targets import Evidence, Replica
from chaos.targets.engine_effects import DeviceStress
from chaos.targets.identity import ProcessId, of_run
from chaos.targets.local.cluster import Cluster
from chaos.targets.local.means.client import ClientSight, ClientWitness
from chaos.targets.local.means.completion import Heard
from chaos.targets.local.means.gpu_machine import no_gpu
from chaos.targets.local.means.means import Enforcer, Means, Sight, View
from chaos.targets.local.means.series import figure
from chaos.targets.local.pod import NICENESS, Pod
from chaos.targets.local.processes import Child
from exporters.series.gpu import GPU_UTILIZATION

_VERB = "burn-gpu"
_BUSY = 0.9
_SLOWER = 4 / 3


class _Enforcer(Enforcer[DeviceStress]):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._neighbours: dict[str, list[Child]] = {}

    async def cause(self, occurrence: str, effect: DeviceStress, pods: Sequence[Pod]) -> float:  # noqa: ARG002
        at_s, program = (
            time.monotonic(),
            (sys.executable, "-m", "reference_server", _VERB, "--gpu", str(effect.gpu)),
        )
        started = self._neighbours.setdefault(occurrence, [])
        for _ in range(effect.workers):
            started.append(self.cluster.start_beside(program, {}, "gpu-neighbour", NICENESS))
        return at_s

    async def undo(self, occurrence: str) -> None:
        ended = self._neighbours.pop(occurrence, [])
        for each in ended:
            each.signal_group(signal.SIGKILL)
        await asyncio.gather(*(each.wait() for each in ended))


@dataclass(slots=True)
class _Sight(ClientSight[DeviceStress]):
    busy: dict[str, float] = field(default_factory=dict)
    """The share of time that the GPU was busy before, by each victim's exporter, by uid."""


class _Witness(ClientWitness[DeviceStress]):
    """Looks at the GPU through the exporters, and at the time between tokens."""

    tokens = 32

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self._neighbours: set[ProcessId] = set()

    def aim(self, occurrence: str, effect: DeviceStress, victims: Sequence[Replica]) -> _Sight:
        heard = super().aim(occurrence, effect, victims)
        return _Sight(
            occurrence, effect, heard.victims, heard.processes, heard.before, self._busy(effect, victims)
        )

    def is_struck(self, effect: DeviceStress, before: Heard, now: Heard) -> bool:  # noqa: ARG002
        return now.gap_s >= _SLOWER * before.gap_s

    def hit(self, sight: Sight[DeviceStress]) -> Sequence[Evidence]:
        assert isinstance(sight, _Sight)
        self._neighbours |= {each for each in of_run(self.view.spec.run_id) if _is_neighbour(each)}
        busy = self._busy(sight.effect, sight.victims)
        evidence = []
        for slow in super().hit(sight):
            uid = next(victim.uid for victim in sight.victims if victim.name == slow.replica)
            risen = busy.get(uid, 0.0) >= _BUSY > sight.busy.get(uid, 1.0)
            how = f"its exporter says that the GPU is busy for {busy.get(uid, 0.0):.0%} of the time"
            how += f", {sight.busy.get(uid, 0.0):.0%} before the fault"
            evidence.append(Evidence(slow.replica, verified=slow.verified or risen, how=f"{how}; {slow.how}"))
        return evidence

    def unharmed(self, sight: Sight[DeviceStress]) -> Sequence[Evidence]:
        left = [each for each in self._neighbours if each.alive()]
        how = f"of {len(self._neighbours)} neighbours, {len(left)} live"
        return [Evidence(victim.name, verified=not left, how=how) for victim in sight.victims]

    def _busy(self, effect: DeviceStress, victims: Sequence[Replica]) -> dict[str, float]:
        rows = self.view.rows()
        ports = {v.uid: rows[v.uid]["metrics_port"] for v in victims if v.uid in rows and rows[v.uid]["pid"]}
        seen = {uid: figure(port, GPU_UTILIZATION.name, gpu=str(effect.gpu)) for uid, port in ports.items()}
        return {uid: value for uid, value in seen.items() if value is not None}


def _is_neighbour(process: ProcessId) -> bool:
    """By its command line: replicas come and go as well."""
    with suppress(psutil.Error):
        return _VERB in psutil.Process(process.pid).cmdline()
    return False


MEANS = Means(DeviceStress, _Enforcer, _Witness, lack=no_gpu)
