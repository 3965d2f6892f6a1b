"""What a local cluster is to be: frozen data that crosses a pipe as JSON, from the runner to the supervisor.

Nothing here starts or touches anything. Defaults are Kubernetes' meanings at a local pace;
docs/local-target.md says where they differ.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from chaos.targets.local.gateway.spec import GatewaySpec
from exporters.slo import E2E, OBJECTIVES, Objective, named
from exporters.slo_file import slo_text

SLO_VARIABLE = "DS_SLO"
"""Where a replica looks for a file of objectives."""
REFERENCE_SERVER = ("python", "-m", "reference_server")
"""How a command of our own server begins."""


@dataclass(frozen=True, slots=True)
class ProbeSpec:
    """An HTTP GET that a replica must answer with 200..399, asked over and over as a kubelet does."""

    path: str
    period_s: float
    timeout_s: float
    failure_threshold: int
    """Failures in a row that turn the verdict."""
    success_threshold: int = 1
    """Successes in a row that turn it back."""

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError(f"a probe's path starts with a slash: {self.path!r}")
        if min(self.period_s, self.timeout_s) <= 0 or min(self.failure_threshold, self.success_threshold) < 1:
            raise ValueError(f"a probe's times are positive and its thresholds at least 1: {self}")


READINESS = ProbeSpec("/readyz", period_s=0.25, timeout_s=1.0, failure_threshold=3)
LIVENESS = ProbeSpec("/healthz", period_s=1.0, timeout_s=2.0, failure_threshold=5)


@dataclass(frozen=True, slots=True)
class ProberSpec:
    """Small streaming requests to every replica that is ready, at a rate that costs next to nothing."""

    every_s: float = 5.0
    """Between two questions to one replica."""
    timeout_s: float = 5.0
    """From the start of connecting to the end of the answer."""
    most_per_s: float = 2.0
    """Of all replicas together: the more there are, the rarer each is asked."""
    model: str | None = None
    """Which model to ask for; None for the first that the replicas list."""
    api_key_env: str | None = None
    """The variable that holds the key."""

    def period_s(self, replicas: int) -> float:
        """Between two questions to one of so many replicas."""
        return max(self.every_s, replicas / self.most_per_s)


@dataclass(frozen=True, slots=True)
class RestartSpec:
    """The wait before a process that ended by itself starts again: none at first, then doubling."""

    initial_s: float = 1.0
    """Before the second restart in a row (Kubernetes: 10)."""
    max_s: float = 30.0
    """The wait never grows beyond this (Kubernetes: 300)."""
    reset_after_s: float = 60.0
    """A process that lived this long starts the count anew (Kubernetes: 600)."""

    def __post_init__(self) -> None:
        if not 0 <= self.initial_s <= self.max_s or self.reset_after_s <= 0:
            raise ValueError(
                f"restart waits need 0 <= initial_s <= max_s and a positive reset_after_s: {self}"
            )

    def in_a_row(self, ends_before: int, lived_s: float) -> int:
        """How many ends in a row it is with one more, of a process that lived so long."""
        return 1 if lived_s >= self.reset_after_s else ends_before + 1

    def wait_s(self, ends_in_a_row: int) -> float:
        """Before the start after so many ends: none after the first, then initial, then doubling.

        Kubernetes' pod lifecycle page, "container restarts"; that the first restart is immediate is the
        kubelet's doing.
        """
        if ends_in_a_row <= 1:
            return 0.0
        return min(self.max_s, self.initial_s * 2.0 ** min(ends_in_a_row - 2, 64))


@dataclass(frozen=True, slots=True)
class LocalSpec:
    """One local cluster: a Deployment of `replicas` processes, a proxy, a gateway, maybe Prometheus."""

    run_id: str
    """Marks every process of the run in its environment."""
    run_folder: Path
    """Holds `logs/`, and for as long as the cluster lives `scratch/`."""
    replicas: int
    command: tuple[str, ...]
    """A leading `python` is the running interpreter; {port}, {metrics_port}, {name} are filled in."""
    env: Mapping[str, str] = field(default_factory=dict)
    standby: tuple[str, ...] = ()
    """The command of a process that replicas are forked from; none starts each anew."""
    namespace: str = "inference"
    app: str = "reference-server"
    labels: Mapping[str, str] = field(default_factory=dict)
    """On every replica, beside app, zone and pod-template-hash, which they cannot replace."""
    zones: tuple[str, ...] = ("zone-a", "zone-b", "zone-c")
    readiness: ProbeSpec = READINESS
    liveness: ProbeSpec = LIVENESS
    restart: RestartSpec = RestartSpec()
    gateway: GatewaySpec = field(default_factory=GatewaySpec)
    ready_within_s: float = 120.0
    lease_s: float = 5.0
    """The supervisor ends everything when it has heard nothing from the runner for this long."""
    prometheus: bool = True
    prober: ProberSpec | None = None
    """Asks every replica as a client would, for Prometheus; None for nobody who does."""
    name_seed: int | None = None
    """Makes the replicas' names repeatable; None draws fresh ones."""
    faults_key: str = field(default="", repr=False)
    """Opens the door for faults that a reference server has; empty for none."""
    run_metrics_address: str | None = None
    """Where the runner serves the run's own series, for the cluster's Prometheus."""

    def __post_init__(self) -> None:
        if self.replicas < 1 or not self.command or not self.zones:
            raise ValueError("a local cluster has at least one replica, a command and a zone")
        if min(self.ready_within_s, self.lease_s) <= 0:
            raise ValueError(
                f"ready_within_s and lease_s are positive: {self.ready_within_s}, {self.lease_s}"
            )
        if taken := self.labels.keys() & {"app", "zone", "pod-template-hash"}:
            raise ValueError(f"labels set by the target cannot be set again: {', '.join(sorted(taken))}")

    @property
    def log_folder(self) -> Path:
        """One log per replica, named after it, and one per other process."""
        return self.run_folder / "logs"

    @property
    def scratch_folder(self) -> Path:
        """Prometheus' files; removed when the cluster ends."""
        return self.run_folder / "scratch"

    @property
    def metrics_apart(self) -> bool:
        """Whether replicas serve their metrics on a port of their own; else where they serve requests."""
        return any("{metrics_port}" in text for text in (*self.command, *self.env.values()))

    def command_for(self, name: str, port: int, metrics_port: int) -> tuple[str, ...]:
        """The command line of one replica, placeholders filled in."""
        return _with_interpreter(*(_filled(part, name, port, metrics_port) for part in self.command))

    @property
    def standby_command(self) -> tuple[str, ...]:
        """The command line of the standby."""
        return _with_interpreter(*self.standby)

    @property
    def is_reference_server(self) -> bool:
        """Whether the replicas are our own server: others have no door for faults."""
        return self.command[: len(REFERENCE_SERVER)] == REFERENCE_SERVER

    def env_for(self, name: str, port: int, metrics_port: int) -> dict[str, str]:
        """What the experiment adds to one replica's environment, placeholders filled in, and the key to its faults."""
        door = {"DS_FAULTS_KEY": self.faults_key} if self.faults_key and self.is_reference_server else {}
        return {key: _filled(value, name, port, metrics_port) for key, value in self.env.items()} | door

    def to_wire(self) -> dict[str, Any]:
        """As JSON can carry it; `from_wire` undoes it exactly."""
        return {**asdict(self), "run_folder": str(self.run_folder)}

    @classmethod
    def from_wire(cls, row: Mapping[str, Any]) -> Self:
        """The spec that `to_wire` was given; TypeError or ValueError when the row is none."""
        return cls(
            **{
                **row,
                "run_folder": Path(row["run_folder"]),
                "command": tuple(row["command"]),
                "standby": tuple(row["standby"]),
                "zones": tuple(row["zones"]),
                "readiness": ProbeSpec(**row["readiness"]),
                "liveness": ProbeSpec(**row["liveness"]),
                "restart": RestartSpec(**row["restart"]),
                "gateway": GatewaySpec.from_wire(row["gateway"]),
                "prober": ProberSpec(**row["prober"]) if row["prober"] is not None else None,
            }
        )


def held_to(spec: LocalSpec, objectives: Sequence[Objective]) -> LocalSpec:
    """The cluster with these bounds among the bucket edges of its own exporters, by a file in the run folder."""
    if tuple(objectives) == OBJECTIVES:
        return spec  # they have these
    path = spec.run_folder / "slo.yaml"
    path.write_text(slo_text(objectives), encoding="utf-8")
    e2e = named(objectives, E2E.name)
    return replace(
        spec,
        env={SLO_VARIABLE: str(path), **spec.env},
        gateway=replace(spec.gateway, e2e_s=None if e2e is None else e2e.bound_s),
    )


def _with_interpreter(program: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable if program == "python" else program, *arguments)


def _filled(text: str, name: str, port: int, metrics_port: int) -> str:
    # Not str.format: JSON in a command line has braces of its own.
    return (
        text.replace("{port}", str(port)).replace("{metrics_port}", str(metrics_port)).replace("{name}", name)
    )
