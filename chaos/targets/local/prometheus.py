"""The cluster's own Prometheus: its files, its process on a free port, the replicas of the moment that it scrapes."""

import asyncio
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from chaos.errors import RefusedError
from chaos.targets.local.naming import node_name
from chaos.targets.local.pod import Pod
from chaos.targets.local.ports import HOST, free_port
from chaos.targets.local.probes import observe
from chaos.targets.local.processes import Child, ProcessTable
from chaos.targets.local.spec import LocalSpec, ProbeSpec
from exporters.series.jobs import GATEWAY_JOB, REPLICA_JOB, RUN_JOB

_READY = ProbeSpec("/-/ready", period_s=0.05, timeout_s=1.0, failure_threshold=1)
_READY_WITHIN_S = 20.0
_TRIES = 3
_CONFIG = """\
global:
  scrape_interval: 1s
  scrape_timeout: 900ms
  evaluation_interval: 1s
rule_files: [{rules}]
scrape_configs:
  - job_name: {replica_job}
    metrics_path: /metrics
    file_sd_configs:
      - files: [{targets}]
  - job_name: {gateway_job}
    metrics_path: /metrics
    static_configs:
      - targets: [{gateway}]
"""
_MORE = """\
  - job_name: {job}
    metrics_path: /metrics
    static_configs:
      - targets: [{address}]
"""
_GLOB, _ESCAPED = re.compile(r"[\[\]*?\\]"), r"\\\g<0>"


@dataclass(frozen=True, slots=True)
class ScrapeTarget:
    """One replica's metrics endpoint and the labels that its series get."""

    address: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """Where one ephemeral server keeps its configuration, its list of targets and its samples."""

    folder: Path

    @property
    def config(self) -> Path:
        """What to scrape, how often."""
        return self.folder / "prometheus.yml"

    @property
    def targets(self) -> Path:
        """The replicas of the moment; Prometheus watches this file."""
        return self.folder / "replicas.json"

    @property
    def rules(self) -> Path:
        """The folder whose rule files are evaluated, once they are there and the server was told to look."""
        return self.folder / "rules"

    def write_config(self, gateway_address: str, more: Mapping[str, str] = MappingProxyType({})) -> None:
        """Write what the server reads when it starts; `more` has the address of each further job."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = _CONFIG.format(
            replica_job=REPLICA_JOB,
            gateway_job=GATEWAY_JOB,
            targets=json.dumps(str(self.targets)),  # JSON strings are YAML strings: any path is safe
            rules=json.dumps(f"{_GLOB.sub(_ESCAPED, str(self.rules))}/*.yaml"),
            gateway=json.dumps(gateway_address),
        )
        for job, address in more.items():
            config += _MORE.format(job=job, address=json.dumps(address))
        self.config.write_text(config)

    def write_rules(self, rules: Path) -> None:
        """Copy a rule file to where the server looks for them when it reloads."""
        self.rules.mkdir(parents=True, exist_ok=True)
        shutil.copy(rules, self.rules / "live.yaml")

    def write_targets(self, targets: Iterable[ScrapeTarget]) -> None:
        """Replace the list of replicas in one step: Prometheus must not read half a file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        rows = [{"targets": [target.address], "labels": dict(target.labels)} for target in targets]
        fresh = self.targets.with_suffix(".tmp")
        fresh.write_text(json.dumps(rows, indent=1))
        fresh.replace(self.targets)

    def command(self, program: str, port: int) -> tuple[str, ...]:
        """The command line of the server."""
        return (
            program,
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            "--storage.tsdb.retention.time=1d",
            f"--web.listen-address={HOST}:{port}",
            "--web.enable-lifecycle",
            "--log.level=warn",
        )


def find_prometheus() -> str:
    """The program on PATH.

    Raises:
        RefusedError: there is none.
    """
    program = shutil.which("prometheus")
    if program is None:
        raise RefusedError(
            "prometheus is not on PATH",
            hint="Debian, Ubuntu: apt install prometheus, then systemctl disable --now prometheus "
            "(runs start their own); macOS: brew install prometheus",
        )
    return program


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
            ScrapeTarget(f"{HOST}:{pod.metrics_proxy_port}", self._labels(pod))
            for pod in pods
            if pod.metrics_proxy_port is not None
        ]
        if targets != self._shown:
            self._files.write_targets(targets)
            self._shown = targets

    async def start(self, gateway_metrics_port: int, watchers: Mapping[str, int]) -> tuple[Child, int]:
        """Start the server; returns it and its port once it is ready.

        Args:
            gateway_metrics_port: where the gateway serves its series.
            watchers: the ports of what watches the replicas from outside, by job.

        Raises:
            RefusedError: there is no such program, or it does not become ready.
        """
        program = find_prometheus()
        more = {job: f"{HOST}:{port}" for job, port in watchers.items()}
        if self._spec.run_metrics_address is not None:
            more[RUN_JOB] = self._spec.run_metrics_address
        self._files.write_config(f"{HOST}:{gateway_metrics_port}", more)
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
