"""The Kubernetes target: replicas that run already, faults that Chaos Mesh causes, and proofs that it has no part in.

Everything that a run creates carries its labels and a lease says that the run is alive: whatever it leaves when it dies
is taken away by the reaper in the cluster, or by `aftershock recover`.
"""

import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chaos.errors import InconclusiveError, RefusedError
from chaos.events import Event, EventKind
from chaos.record.details import OfWatch
from chaos.targets import Asked, Endpoints, Evidence, Node, Replica
from chaos.targets.effects import Effect, Fidelity, Nothing, Termination
from chaos.targets.identity import ProcessId, marks
from chaos.targets.kubernetes import guards
from chaos.targets.kubernetes.attachment import Attachment
from chaos.targets.kubernetes.chaos_object import Window
from chaos.targets.kubernetes.evidence.witness import Before
from chaos.targets.kubernetes.fidelity import KIND, fidelity
from chaos.targets.kubernetes.injecting import Injecting, NotInjectedError, in_words
from chaos.targets.kubernetes.log import Log
from chaos.targets.kubernetes.manifests import chaos_object, run_name
from chaos.targets.kubernetes.objects import ApiError, Item, place_of
from chaos.targets.kubernetes.settings import Settings
from chaos.targets.kubernetes.undoing.lost_objects import Record
from chaos.targets.kubernetes.undoing.resorts import Undoing
from chaos.targets.kubernetes.undoing.traces import ONE_SHOT
from chaos.targets.options import Opening

_CALL_S = 5.0


@dataclass(slots=True)
class _Aim:
    """One occurrence of a fault."""

    effects: tuple[Effect, ...]
    before: Sequence[Before]
    manifest: Mapping[str, Any]
    item: Item | None = None
    """What was created, or may have been; None before, and once all of it is gone."""
    window: Window = field(default_factory=Window)
    began_s: float = 0.0


class KubernetesTarget:
    """Replicas in a namespace, as `chaos.targets.Target` wants them."""

    kind = KIND

    def __init__(self, settings: Settings, opening: Opening) -> None:
        """Prepare; nothing is asked before it is entered."""
        runner = ProcessId.of(os.getpid())
        assert runner is not None
        self.wanted_replicas = settings.replicas or 0
        self._settings, self._runner = settings, runner
        self._run_id = run_name(opening.experiment, uuid.uuid4().hex[:12])
        self._log = Log(opening.folder / "logs" / "kubernetes.log")
        record = Record(self._run_id, str(runner), settings.where)
        self._cluster = Attachment(settings, record, self._log.tell, opening.on_progress)
        self._aims: dict[str, _Aim] = {}
        """By occurrence."""
        self._events: list[Event] = []

    @property
    def marks(self) -> Mapping[str, str]:
        """What other processes of the run, the load for one, must have in their environment to be found."""
        return marks(self._run_id, self._runner)

    def __enter__(self) -> Self:
        """Attach to the replicas: guards, the lease, the watch, and all of them ready.

        Raises:
            RefusedError: a guard objects, another run is there, or they do not become ready in time.
            InconclusiveError: the API server does not say.
        """
        self._cluster.__enter__()
        self.wanted_replicas = self._cluster.wanted
        self._events.append(Event(time.monotonic(), EventKind.TARGET_STARTED))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Undo whatever may still be in force, and let go; a second time changes nothing.

        Raises:
            CleanupError: something is; it stays on record for `aftershock recover`, and for the reaper.
        """
        try:
            self._undo([aim for aim in self._aims.values() if aim.item is not None])
            self._cluster.record.remove()
        finally:
            self._cluster.__exit__(kind, error, trace)
        self._events.append(Event(time.monotonic(), EventKind.TARGET_STOPPED))

    def endpoints(self) -> Endpoints:
        """The Service, or the port that is forwarded to it, and whatever else the file names."""
        settings = self._settings
        addresses = [(item.get("status") or {}).get("podIP") for item in self._cluster.items()]
        port = settings.metrics_port
        return Endpoints(
            url=self._cluster.url,
            prometheus_url=settings.prometheus_url,
            gateway_metrics_url=settings.gateway_metrics_url,
            replica_metrics_urls=[f"http://{each}:{port}/metrics" for each in addresses if port and each],
            model=settings.model,
            api_key=settings.api_key,
            service_names=settings.service_names,
        )

    def evaluate(self, rules: Path) -> None:
        """Nothing: which rules the cluster's Prometheus evaluates is for whoever runs it to say."""

    def nodes(self) -> Sequence[Node]:
        """As they were when the run began."""
        return self._cluster.nodes

    def replicas(self) -> Sequence[Replica]:
        """Every replica that the watch has, by name; as last heard while it is lost, which an event tells.

        Raises:
            AbortedError: the lease is lost.
        """
        self._cluster.require_held()
        return self._cluster.replicas()

    def pids(self) -> Mapping[str, Sequence[int]]:
        """None: they are on machines of their own."""
        return {}

    def events(self) -> Sequence[Event]:
        """Every event so far, in the order of their monotonic stamps."""
        found = [*self._cluster.lifecycle.events, *self._events, *self._losses()]
        return sorted(found, key=lambda event: event.at_s)

    def fidelity(self, fault: Asked) -> Fidelity:
        """How close this target comes to the fault."""
        return fidelity(fault)

    def aim(
        self,
        occurrence: str,
        effects: Sequence[Effect],
        victims: Sequence[Replica],
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        """Note how the victims are, and which object asks for the fault.

        Raises:
            InconclusiveError: the watch is lost, and nobody knows how they are.
        """
        assert manifest is not None
        before = self._cluster.witness.before(effects, victims)
        self._aims[occurrence] = _Aim(tuple(effects), before, manifest)

    def inject(self, occurrence: str, victims: Sequence[Replica]) -> float:
        """Have Chaos Mesh cause the effects, and wait until it says that it has.

        Raises:
            RefusedError: one of the victims is gone, or it could not be done in time; whatever was done is undone.
            CleanupError: and is not.
        """
        aim = self._aims[occurrence]
        if not victims or all(isinstance(effect, Nothing) for effect in aim.effects):
            return time.monotonic()
        self._cluster.require_held()
        if gone := [victim.name for victim in victims if self._cluster.pod(victim.uid) is None]:
            raise RefusedError(f"{occurrence}: gone before anything was injected: {', '.join(gone)}")
        body = chaos_object(
            aim.manifest,
            namespace=self._settings.namespace,
            run_id=self._run_id,
            occurrence=occurrence,
            victims=victims,
        )
        if any(isinstance(effect, Termination) for effect in aim.effects):
            self._cluster.lifecycle.blamed |= {victim.uid: occurrence for victim in victims}
        injecting = Injecting(self._cluster.api, body, self._settings.inject_within_s, aim.window)
        aim.item = body
        try:
            aim.began_s = injecting.until_in_force()
        except (NotInjectedError, ApiError) as error:
            self._undo([aim])
            if isinstance(error, ApiError):
                resource = place_of(body).collection.resource
                raise guards.refusal(error, "create", resource, self._settings.namespace) from error
            raise RefusedError(f"{occurrence} was not injected, and is undone: {error}") from error
        if body["spec"].get("action") in ONE_SHOT:
            self._forget(body)
        return aim.began_s

    def verify(self, occurrence: str, within_s: float) -> Sequence[Evidence]:
        """Look, without asking Chaos Mesh, whether each victim that was aimed at is hit."""
        aim = self._aims[occurrence]
        try:
            evidence = self._cluster.witness.hit(aim.effects, aim.before, within_s)
        except InconclusiveError as error:
            return [Evidence(known.victim.name, verified=False, how=f"{error}") for known in aim.before]
        said = in_words(aim.window, aim.began_s)
        return [
            Evidence(one.replica, one.verified, "; ".join(filter(None, (one.how, said)))) for one in evidence
        ]

    def recover(self, occurrence: str) -> None:
        """Delete the object and wait until it and all that it has left is gone; harmless a second time.

        Raises:
            CleanupError: something is left.
        """
        aim = self._aims.get(occurrence)
        if aim is not None and aim.item is not None:
            self._undo([aim])

    def verify_recovered(self, occurrence: str, within_s: float) -> Sequence[Evidence]:
        """Look, without asking Chaos Mesh, whether each victim that still lives is as it was before.

        Nobody is looked at while the watch is lost: it is undone all the same, and the run is inconclusive.
        """
        aim = self._aims.get(occurrence)
        if aim is None or not aim.began_s:
            return ()  # it was undone because it could not be done, or nothing was to be
        try:
            return self._cluster.witness.over(aim.effects, aim.before, within_s)
        except InconclusiveError as error:
            self._log.tell(f"{occurrence} is undone, and nobody could look whether it is over: {error}")
            return ()

    def _losses(self) -> Iterator[Event]:
        """What tells when nobody knew what became of replicas."""
        for loss in self._cluster.losses():
            detail = OfWatch(watched=self._cluster.watched, why=loss.why).model_dump()
            yield Event(loss.since_s, EventKind.WATCH_LOST, detail=detail)
            if loss.until_s is not None:
                yield Event(loss.until_s, EventKind.WATCH_BACK, detail=detail)

    def _undo(self, aims: Sequence[_Aim]) -> None:
        """Undo these, last one first; each is forgotten only once nothing of it is left."""
        items = [aim.item for aim in reversed(aims) if aim.item is not None]
        if items:
            Undoing(self._cluster.api, self._log.tell).undo(items)
            for aim in aims:
                aim.item = None

    def _forget(self, body: Item) -> None:
        """Ask for the end of an object whose fault is over at once; that it is gone is seen to at the end."""
        try:
            self._cluster.api.delete(place_of(body), within_s=_CALL_S)
        except ApiError as error:
            self._log.tell(f"{place_of(body)} stays until the end of the run: {error}")
