"""The one interface between an experiment and a cluster, and the words both sides use for what is in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from chaos.events import Event
from chaos.targets.effects import Effect, Fidelity

SERVICE = "the service"
"""What stands for the whole of it, where a fault has no victims that could be told apart."""


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
    grace_s: float = 0.0
    """How long its processes may take to end once they are asked to; 0 where they are not asked."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the load and the scrapes go."""

    url: str
    """Base URL of the OpenAI-compatible service, without `/v1`."""
    prometheus_url: str | None
    gateway_metrics_url: str | None
    replica_metrics_urls: Sequence[str] = ()
    """Expositions of the replicas themselves, where the runner can reach them."""
    model: str | None = None
    """What to ask for; None for the first model that the service lists."""
    api_key: str = field(default="", repr=False)
    service_names: Sequence[str] = ()
    """Hosts that mean the service to whoever is in the cluster, where the runner can answer for that."""
    prober_metrics_url: str | None = None
    """Exposition of who asks the replicas themselves, beside the gateway and all along."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Independent observation of one victim: not the injector's own word."""

    replica: str
    """The victim's name; for a fault without victims, what stands for the whole service."""
    verified: bool
    how: str
    """A sentence: what was looked at and what was seen."""


class Asked(Protocol):
    """The part of a fault that a target must know to say how close it comes."""

    @property
    def effects(self) -> Sequence[Effect]:
        """What is to be done to each victim."""

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        """How close each kind of target comes, as the fault's own file says."""


class Target(Protocol):
    """A cluster under experiment: entering starts or attaches to it, leaving undoes every fault, on every path.

    An effect goes through `aim`, `inject`, `verify`, `recover` and `verify_recovered`, tied by the id of its
    occurrence. Looking is told what was aimed at, doing what is hit: where the two differ, verification fails.
    """

    kind: str
    wanted_replicas: int
    """0 where replicas cannot be seen."""

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
        """Every replica that exists now, whatever its phase. Cheap: never a request per look."""

    def pids(self) -> Mapping[str, Sequence[int]]:
        """What of the target runs on this machine, by role: replicas, gateway, and whatever else it consists of.

        Cheap, and from any thread; empty where everything is elsewhere.
        """

    def fidelity(self, fault: Asked) -> Fidelity:
        """How close this target comes to the fault."""

    def aim(
        self,
        occurrence: str,
        effects: Sequence[Effect],
        victims: Sequence[Replica],
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        """Take in what is to be done to whom, and how they are before it; causes nothing.

        Args:
            occurrence: its id.
            effects: what is done to each victim: what a target does, or what it looks for.
            victims: who is meant.
            manifest: the object that asks for it, as an API server would keep it, where the target hands such
                objects on to somebody who understands them.
        """

    def inject(self, occurrence: str, victims: Sequence[Replica]) -> float:
        """Cause the effects that were aimed on exactly these incarnations, one after another.

        Returns:
            Monotonic seconds, not later than the first effect.

        Raises:
            RefusedError: one of them has vanished; nothing was touched.
        """

    def verify(self, occurrence: str, within_s: float) -> Sequence[Evidence]:
        """Look, independently of the injector, whether each victim that was aimed at is hit."""

    def recover(self, occurrence: str) -> None:
        """Undo the effects; harmless a second time, and where nothing was injected or nothing is to be undone."""

    def verify_recovered(self, occurrence: str, within_s: float) -> Sequence[Evidence]:
        """Look, independently of the injector, whether each victim that still lives is as it was before."""

    def events(self) -> Sequence[Event]:
        """Every event so far, in order, on the monotonic clock."""
