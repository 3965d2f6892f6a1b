"""A fault: data, and the effects that it needs. Its kind is one file of this folder."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from chaos.faults.doubts import Doubt
from chaos.faults.manifest import FaultObject, Selection
from chaos.reading.documents import Document, Problem
from chaos.targets.effects import Effect, Fidelity, unsupported

Plane = Literal["process", "network", "host", "application", "telemetry"]


def _sound(_: Any) -> Iterator[Any]:
    return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault: what its manifest holds, which effects it needs, and how a report speaks of it."""

    api_version: str
    kind: str
    action: str | None = None
    """`spec.action`, where the kind has several."""
    manifest: type[FaultObject]
    effects: Callable[[Any], tuple[Effect, ...]]
    """Of the manifest's spec."""
    problems: Callable[[Any], Iterator[Problem]] = _sound
    """What is wrong across several keys of the spec; key paths begin within it."""
    doubts: Callable[[Any], Iterator[Doubt]] = _sound
    """What of the spec an API server takes and nobody can have meant; key paths begin within it."""
    plane: Plane
    lasts: bool = True
    """False for a fault that is over at once: what it disturbs comes back by itself."""
    selects: bool = True
    """False for a fault that hits the service as a whole."""
    done: str
    """What became of the victims, after `3 of 10 replicas`."""
    fidelities: Mapping[str, Fidelity]
    """How close each kind of target comes; one that is not named cannot."""

    @property
    def label(self) -> str:
        """`NetworkChaos/delay`."""
        return self.kind if self.action is None else f"{self.kind}/{self.action}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of one manifest, defaults filled in."""

    name: str
    namespace: str
    kind: Kind
    selection: Selection | None
    """None for a fault that hits the service as a whole."""
    duration_s: float | None
    """As written; None when absent or empty: until it is undone."""
    effects: tuple[Effect, ...]
    document: Document
    """What it was read from."""
    spec: Mapping[str, Any]
    """As written, with every default: what an API server would keep."""
    doubts: tuple[Doubt, ...] = ()
    """What of it an API server takes and nobody can have meant."""
    remote_cluster: str = ""
    """Another cluster in which it is to happen."""

    @property
    def manifest_path(self) -> Path:
        """The file that it was read from."""
        return self.document.path

    @property
    def manifest(self) -> dict[str, Any]:
        """The object, as an API server would keep it."""
        return {
            "apiVersion": self.kind.api_version,
            "kind": self.kind.kind,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {**self.spec},
        }

    @property
    def fidelities(self) -> Mapping[str, Fidelity]:
        """How close each kind of target comes."""
        if self.remote_cluster:
            elsewhere = unsupported(f"it is to happen in another cluster, {self.remote_cluster}")
            return dict.fromkeys(self.kind.fidelities, elsewhere)
        return self.kind.fidelities

    @property
    def runs_nowhere(self) -> str | None:
        """Why no kind of target can run it; None where one can."""
        levels = {fidelity.level for fidelity in self.fidelities.values()}
        return (
            None
            if levels - {"unsupported"}
            else "; ".join(dict.fromkeys(fidelity.reason for fidelity in self.fidelities.values()))
        )

    @property
    def how_many(self) -> str:
        """`fixed-percent 30`."""
        if self.selection is None:
            return "the service as a whole"
        mode, value = self.selection.mode, self.selection.value
        return mode if mode in ("one", "all") else f"{mode} {value}"
