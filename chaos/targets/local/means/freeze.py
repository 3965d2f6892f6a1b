"""Frozen processes: stopped by the supervisor and continued by it; a stopped process cannot look after itself.

A guardian, which is neither the supervisor nor one of its children by the kernel's rules, knows who is stopped: should
the supervisor die, however it dies, the guardian ends them. Without it a worker whose parent the kernel takes along
would stay, stopped, for ever.
"""

import asyncio
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

from chaos.targets import Evidence, Replica
from chaos.targets.engine_effects import Freeze
from chaos.targets.identity import ProcessId, of_group
from chaos.targets.local.cluster import Cluster
from chaos.targets.local.means.means import Enforcer, Left, Means, ProcessWitness, Sight, there
from chaos.targets.local.means.thawing import RELEASED, STANDS
from chaos.targets.local.pod import Pod
from chaos.targets.local.processes import command


class _Enforcer(Enforcer[Freeze]):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._stopped: dict[str, tuple[Sequence[Pod], subprocess.Popen[bytes]]] = {}
        """By occurrence: who, and their guardian."""

    async def cause(self, occurrence: str, effect: Freeze, pods: Sequence[Pod]) -> float:  # noqa: ARG002
        guardian = await asyncio.to_thread(_guardian, [each for pod in pods for each in of_group(pod.pid)])
        self._stopped[occurrence] = (pods, guardian)
        at_s = time.monotonic()
        for pod in pods:
            pod.send_signal(signal.SIGSTOP)
        return at_s

    async def undo(self, occurrence: str) -> None:
        if occurrence not in self._stopped:
            return
        pods, guardian = self._stopped.pop(occurrence)
        for pod in pods:  # one that was restarted meanwhile is not stopped: harmless
            pod.send_signal(signal.SIGCONT)
        await asyncio.to_thread(_dismiss, guardian)


def _guardian(processes: Sequence[ProcessId]) -> "subprocess.Popen[bytes]":
    """Have somebody know them, before anything is done to them."""
    guardian = subprocess.Popen(
        [*command("means.thawing"), *map(str, processes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # and no parent-death signal: it is to outlive the supervisor, for a moment
    )
    assert guardian.stdout is not None
    if guardian.stdout.readline() != STANDS:
        raise RuntimeError("nobody would watch over stopped processes: the guardian does not start")
    return guardian


def _dismiss(guardian: "subprocess.Popen[bytes]") -> None:
    with suppress(BrokenPipeError):
        guardian.communicate(RELEASED)


class _Witness(ProcessWitness[Freeze]):
    needs_process = True

    def judge(self, left: Left) -> tuple[bool, str]:
        stopped = [each for each in left.alive if _is_stopped(each)]
        return len(stopped) == len(left.before), _in_words(stopped)

    def unharmed(self, sight: Sight[Freeze]) -> Sequence[Evidence]:
        rows = self.view.rows()
        return [self._goes_on(sight, victim, rows.keys()) for victim in sight.victims]

    @staticmethod
    def _goes_on(sight: Sight[Freeze], victim: Replica, listed: "set[str] | object") -> Evidence:
        stopped = [each for each in sight.processes.get(victim.uid, ()) if _is_stopped(each)]
        if stopped:
            return Evidence(victim.name, verified=False, how=_in_words(stopped))
        return there(victim, listed=victim.uid in listed)  # type: ignore[operator]


def _is_stopped(process: ProcessId) -> bool:
    with suppress(psutil.Error):
        return process.alive() and psutil.Process(process.pid).status() == psutil.STATUS_STOPPED
    return False


def _in_words(stopped: Sequence[ProcessId]) -> str:
    return f"stopped, by the process table: {', '.join(str(each.pid) for each in stopped) or 'none'}"


MEANS = Means(Freeze, _Enforcer, _Witness)
