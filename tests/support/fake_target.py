"""A target in a few lines: replicas that exist on paper, effects that are written down, evidence as told."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chaos.events import Event
from chaos.targets import Asked, Endpoints, Evidence, Node, Replica
from chaos.targets.effects import Effect, Fidelity, exact


@dataclass
class FakeTarget:
    """Two replicas in front of whatever answers at `url`; an effect on one is a line in `effects`."""

    url: str = "http://127.0.0.1:9"
    kind: str = "fake"
    wanted_replicas: int = 2
    marks: Mapping[str, str] = field(default_factory=dict)
    effects: dict[str, Sequence[str]] = field(default_factory=dict)
    """Whom an occurrence hits now."""
    history: list[str] = field(default_factory=list)
    fails_to_inject: bool = False
    on_inject: Callable[[], None] = lambda: None
    """Called when an effect is about to be there."""
    stays: bool = False
    """Whether effects outlive their recovery."""
    _aimed: dict[str, Sequence[Replica]] = field(default_factory=dict)
    _events: list[Event] = field(default_factory=list)

    def __enter__(self) -> Self:
        now_s = time.monotonic()
        self._events = [Event(now_s, "replica_ready", each.name) for each in self.replicas()]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert not self.effects, "every fault must be undone before its target is left"

    def endpoints(self) -> Endpoints:
        return Endpoints(self.url, prometheus_url=None, gateway_metrics_url=None)

    def evaluate(self, rules: Path) -> None:
        raise AssertionError(rules)

    def nodes(self) -> Sequence[Node]:
        return [Node("node-a")]

    def replicas(self) -> Sequence[Replica]:
        labels = {"app": "reference-server"}
        return [Replica(n, "inference", n, labels, {}, "node-a", "Running", ready=True) for n in ("a", "b")]

    def pids(self) -> Mapping[str, Sequence[int]]:
        return {}

    def fidelity(self, fault: Asked) -> Fidelity:
        return exact(f"{len(fault.effects)} effects, written down")

    def aim(
        self,
        occurrence: str,
        effects: Sequence[Effect],  # noqa: ARG002
        victims: Sequence[Replica],
        manifest: Mapping[str, Any] | None = None,  # noqa: ARG002 - nobody to hand it on to
    ) -> None:
        self._aimed[occurrence] = victims

    def inject(self, occurrence: str, victims: Sequence[Replica]) -> float:
        self.on_inject()
        self.history.append(f"inject {occurrence}")
        self.effects[occurrence] = [victim.name for victim in victims]
        if self.fails_to_inject:
            raise OSError("half of it was done")
        return time.monotonic()

    def verify(self, occurrence: str, within_s: float) -> Sequence[Evidence]:  # noqa: ARG002
        hit = self.effects.get(occurrence, ())
        return [Evidence(each.name, each.name in hit, f"hit: {hit}") for each in self._aimed[occurrence]]

    def recover(self, occurrence: str) -> None:
        self.history.append(f"recover {occurrence}")
        if not self.stays:
            self.effects.pop(occurrence, None)

    def verify_recovered(self, occurrence: str, within_s: float) -> Sequence[Evidence]:  # noqa: ARG002
        hit = self.effects.get(occurrence, ())
        return [Evidence(each.name, each.name not in hit, f"hit: {hit}") for each in self._aimed[occurrence]]

    def events(self) -> Sequence[Event]:
        return self._events
