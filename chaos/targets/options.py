"""A target's own section of the experiment file, and all that can be said and done with no more than that."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from chaos.reading.documents import Problem
from chaos.reading.strict import Strict
from chaos.targets import Asked, Node, Replica, Target
from chaos.targets.effects import Fidelity
from exporters.slo import OBJECTIVES, Objective


@dataclass(frozen=True, slots=True)
class Planned:
    """What a target would consist of; nothing of it exists."""

    replicas: tuple[Replica, ...]
    nodes: tuple[Node, ...]
    namespace: str | None = None
    """The one that they are all in, where that is known although they are not; None for that of the replicas."""
    unknown: str = ""
    """Why nothing is known of them; empty where all is."""
    there: bool = False
    """Whether they are there already, under these names."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a run gives its target beside the target's own section of the experiment file."""

    experiment: str
    folder: Path
    """Exists, and holds `logs/`."""
    seed: int
    run_metrics_address: str | None = None
    """Host and port of the run's own series, for the target's Prometheus."""
    ignore_eos: bool = True
    """Whether the load will ask for answers of an exact length."""
    body: Mapping[str, Any] | None = None
    """What its requests have besides."""
    model: str | None = None
    """Which model it will ask for, where the experiment's load says so."""
    api_key_env: str | None = None
    """The variable with its API key, where the experiment's load names one."""
    objectives: Sequence[Objective] = OBJECTIVES
    """What it is held to: bucket edges of whatever the target itself starts."""
    on_progress: Callable[[int, int], None] = lambda _ready, _wanted: None
    """Told the ready and the wanted number of replicas while the target starts."""


@dataclass(frozen=True, slots=True)
class LostRun:
    """What a run left whose runner is gone."""

    run_id: str
    left: str
    """What is left, in words: `runner (pid 12) is gone; left: 3 processes`."""
    pieces: tuple[str, ...]
    end: Callable[[], Sequence[str]]
    """Undoes it, and says what it undid, one line per piece."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A fault that a run would inject, and into whom."""

    occurrence: str
    manifest: Mapping[str, Any]
    """The object that asks for it, as an API server would keep it."""
    victims: tuple[Replica, ...]


class TargetOptions(Strict, ABC):
    """A target's own section of the experiment file, and all that can be said and done with no more than that."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def wanted_replicas(self) -> int:
        """How many replicas there should be; 0 where they cannot be seen, or where only the target itself can tell."""

    @property
    def sees_replicas(self) -> bool:
        """Whether replicas can be seen during a run."""
        return self.wanted_replicas > 0

    @property
    def service_url(self) -> str | None:
        """Of the service that must be there already; None where the target starts its own."""
        return None

    @property
    @abstractmethod
    def has_prometheus(self) -> bool:
        """Whether PromQL can be asked during a run."""

    @property
    @abstractmethod
    def about(self) -> str:
        """What is about to start, in words: `10 replicas starting`."""

    @abstractmethod
    def problems(self) -> Iterator[Problem]:
        """What is wrong across several keys of the section; key paths begin within it."""

    @abstractmethod
    def planned(self, seed: int | None) -> Planned:
        """What the target would consist of: names hold where there is a seed. Touches nothing, and asks nobody."""

    def present(self, seed: int | None) -> Planned:
        """The same, asked of the target where it is there already.

        Raises:
            AftershockError: it does not say.
        """
        return self.planned(seed)

    def lacks(self) -> Iterator[str]:
        """What must be there for a run of it and is not, a clause for each; looked for, and not started."""
        return iter(())

    def rehearse(self, faults: Sequence[Rehearsed]) -> Iterator[str]:  # noqa: ARG002 - nobody to ask
        """Have the objects that a run would create checked by whoever would take them; a line for each."""
        return iter(())

    def cannot_ask(self, url: str) -> str | None:  # noqa: ARG002 - nothing of a network that is not known
        """Why the runner cannot ask a URL that a StatusCheck names to somebody in the cluster; None where it can."""
        return "which is of the cluster's own network, and nobody here is sure to reach it"

    @abstractmethod
    def fidelity(self, fault: Asked) -> Fidelity:
        """How close the target comes to a fault, before anything starts."""

    @abstractmethod
    def open(self, opening: Opening) -> Target:
        """The target of a run; nothing starts before it is entered."""

    @classmethod
    @abstractmethod
    def lost(cls) -> Sequence[LostRun]:
        """What lost runs left on targets of this kind."""
