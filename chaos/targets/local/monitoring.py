"""The cluster's own Prometheus: on a free port, shown the replicas of the moment, gone with its samples."""

import asyncio
import os
from collections.abc import Iterable

from chaos.errors import RefusedError
from chaos.prometheus import ScrapeTarget, ServerFiles, find_prometheus
from chaos.targets.local.naming import node_name
from chaos.targets.local.pod import Pod
from chaos.targets.local.ports import HOST, free_port
from chaos.targets.local.probes import observe
from chaos.targets.local.processes import Child, ProcessTable
from chaos.targets.local.spec import LocalSpec, ProbeSpec

_READY = ProbeSpec("/-/ready", period_s=0.05, timeout_s=1.0, failure_threshold=1)
_READY_WITHIN_S = 20.0
_TRIES = 3


class Monitoring:
    """One Prometheus server and the list of targets that it watches."""

    def __init__(self, spec: LocalSpec, processes: ProcessTable) -> None:
        self._spec = spec
        self._processes = processes
        self._files = ServerFiles(spec.scratch_folder)
        self._shown: list[ScrapeTarget] | None = None

    def show(self, pods: Iterable[Pod]) -> None:
        """Scrape these replicas from now on; Prometheus takes up to five seconds to notice."""
        targets = [
            ScrapeTarget(f"{HOST}:{pod.ports[1]}", self._labels(pod)) for pod in pods if pod.ports is not None
        ]
        if targets != self._shown:
            self._files.write_targets(targets)
            self._shown = targets

    async def start(self, gateway_metrics_port: int) -> tuple[Child, int]:
        """Start the server; returns it and its port once it is ready.

        Raises:
            RefusedError: there is no such program, or it does not become ready.
        """
        program = find_prometheus()
        self._files.write_config(f"{HOST}:{gateway_metrics_port}", self._spec.run_metrics_address)
        for _ in range(_TRIES):
            port = free_port(())
            child = self._processes.start(
                self._files.command(program, port),
                env=dict(os.environ),
                log=self._spec.log_folder / "prometheus.log",
            )
            if await self._ready(child, port):
                return child, port
        raise RefusedError(f"prometheus does not start: see {self._spec.log_folder / 'prometheus.log'}")

    async def _ready(self, child: Child, port: int) -> bool:
        """Whether it became ready; False when it ended first, for instance because its port was taken."""
        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                while child.end is None:
                    if (await observe(_READY, port)).passed:
                        return True
                    await asyncio.sleep(_READY.period_s)
        except TimeoutError:
            return False
        return False

    def _labels(self, pod: Pod) -> dict[str, str]:
        return {
            "pod": pod.name,
            "namespace": self._spec.namespace,
            "zone": pod.zone,
            "node": node_name(pod.zone),
        }
