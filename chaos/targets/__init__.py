"""The one interface between an experiment and a cluster, and the words both sides use for what is in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from chaos.events import Event


@dataclass(frozen=True, slots=True)
class Node:
    """Where replicas run."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica as a selector sees it: a pod, or what stands for one."""

    name: str
    namespace: str
    uid: str
    """Of this one incarnation: a replacement has another, even under the same name."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    node: str
    phase: str
    """Pending, Running, Succeeded, Failed or Unknown."""
    ready: bool
    terminating: bool = False
    """A terminating replica still counts as a candidate, as in Chaos Mesh."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """What fieldSelectors can ask for beyond name, namespace, node and phase, e.g. `spec.restartPolicy`."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the load and the scrapes go."""

    url: str
    """Base URL of the OpenAI-compatible service, without `/v1`."""
    prometheus_url: str | None
    gateway_metrics_url: str | None
    replica_metrics_urls: Sequence[str] = ()
    """Expositions of the replicas themselves, where the runner can reach them."""


@dataclass(frozen=True, slots=True)
class Injection:
    """What was done to one victim."""

    replica: str
    uid: str
    at_s: float
    """Monotonic seconds when the effect was caused."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Independent observation that a victim was hit: not the injector's own word."""

    replica: str
    uid: str
    verified: bool
    how: str
    """A sentence: what was looked at and what was seen."""


class KillFault(Protocol):
    """The part of a pod-kill that a target needs to know."""

    @property
    def grace_period_s(self) -> int:
        """Seconds between the polite and the hard signal; 0 is the hard signal at once."""


class Target(Protocol):
    """A cluster under experiment: entering starts or attaches to it, leaving undoes every fault, on every path."""

    kind: str
    wanted_replicas: int

    @property
    def marks(self) -> Mapping[str, str]:
        """What any other process of the run must have in its environment, so that it is found if the run is lost."""

    def __enter__(self) -> Self:
        """Bring the target up until every wanted replica is ready."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Recover everything and let go; raises CleanupError when something may be left."""

    def endpoints(self) -> Endpoints:
        """Where load and scrapes go."""

    def evaluate(self, rules: Path) -> None:
        """Have the target's Prometheus evaluate this file of rules from now on."""

    def nodes(self) -> Sequence[Node]:
        """Every node that could run a replica."""

    def replicas(self) -> Sequence[Replica]:
        """Every replica that exists now, whatever its phase."""

    def pids(self) -> Mapping[str, Sequence[int]]:
        """What of the target runs on this machine, by role: replicas, gateway, and whatever else it consists of.

        Cheap, and from any thread; empty where everything is elsewhere.
        """

    def inject(self, fault: KillFault, victims: Sequence[Replica]) -> Sequence[Injection]:
        """Cause the effect on exactly these incarnations, one after another; a vanished one is an error."""

    def verify(self, injections: Sequence[Injection], within_s: float) -> Sequence[Evidence]:
        """Look, independently of the injector, whether each victim was hit."""

    def events(self) -> Sequence[Event]:
        """Every event so far, in order, on the monotonic clock."""
