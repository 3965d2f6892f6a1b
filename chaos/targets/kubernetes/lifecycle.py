"""From news of pods to the events of replicas, each stamped when its news arrived. Pure but for what it remembers.

A pod's own stamps are whole seconds of another clock; arrival is some milliseconds late, and on the clock of the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chaos.events import Event, EventKind
from chaos.record.details import (
    Detail,
    OfReplica,
    ReplicaCreated,
    ReplicaGone,
    ReplicaReadiness,
    ReplicaRunning,
    ReplicaSignalled,
)
from chaos.targets.kubernetes.api import Frame
from chaos.targets.kubernetes.pods import ZONE, Pod


@dataclass(slots=True)
class Lifecycle:
    """What became of each incarnation of a replica."""

    zones: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Labels by node."""
    blamed: dict[str, str] = field(default_factory=dict)
    """By uid: the occurrence that is to end it."""
    events: list[Event] = field(default_factory=list)
    _known: dict[str, Pod] = field(default_factory=dict)
    """By uid, as last seen."""
    _pulled: set[str] = field(default_factory=set)
    """Uids of those whose image is there."""

    def take(self, frame: Frame) -> None:
        """Take in one piece of news."""
        pod, at_s = Pod.of(frame.item), frame.at_s
        before = self._known.get(pod.uid)
        if frame.type == "DELETED":
            if self._known.pop(pod.uid, None) is not None:
                self._leave(before, pod, at_s)
                self._note(
                    EventKind.REPLICA_GONE,
                    at_s,
                    pod,
                    ReplicaGone(uid=pod.uid, how=f"deleted; its container was last seen {pod.how}"),
                )
            return
        if before is None:
            zone = self.zones.get(pod.node, {}).get(ZONE)
            self._note(
                EventKind.REPLICA_CREATED, at_s, pod, ReplicaCreated(uid=pod.uid, node=pod.node, zone=zone)
            )
        self._known[pod.uid] = pod
        if pod.node and before is not None and not before.node:
            zone = self.zones.get(pod.node, {}).get(ZONE)
            where = ReplicaCreated(uid=pod.uid, node=pod.node, zone=zone)
            self._note(EventKind.REPLICA_SCHEDULED, at_s, pod, where)
        if before is not None and pod.restarts > before.restarts:
            again = ReplicaRunning(uid=pod.uid, restarts=pod.restarts)
            self._note(EventKind.REPLICA_RESTARTED, at_s, pod, again)
        elif pod.running and (before is None or (not before.running and not pod.restarts)):
            runs = ReplicaRunning(uid=pod.uid, restarts=pod.restarts)
            self._note(EventKind.REPLICA_RUNNING, at_s, pod, runs)
        self._leave(before, pod, at_s)
        if pod.ready and not pod.terminating and not (before is not None and before.ready):
            why = "its readiness probes pass"
            self._note(EventKind.REPLICA_READY, at_s, pod, ReplicaReadiness(uid=pod.uid, why=why))

    def pulled(self, frame: Frame) -> None:
        """Take in an event of the kubelet's that says that an image is there; the first of a pod counts."""
        uid = str((frame.item.get("involvedObject") or {}).get("uid") or "")
        pod = self._known.get(uid)
        if frame.type != "DELETED" and pod is not None and uid not in self._pulled:
            self._pulled.add(uid)
            if not pod.running:
                self._note(EventKind.REPLICA_PULLED, frame.at_s, pod, OfReplica(uid=uid))

    def _leave(self, before: Pod | None, pod: Pod, at_s: float) -> None:
        """What says that it gets no more requests."""
        cause = self.blamed.get(pod.uid, "")
        was_terminating = before is not None and before.terminating
        if pod.terminating and not was_terminating:
            if before is not None and before.ready:
                why = cause or "it is being deleted"
                self._note(EventKind.REPLICA_UNREADY, at_s, pod, ReplicaReadiness(uid=pod.uid, why=why))
            deleted = ReplicaSignalled(uid=pod.uid, signal="deletion", reason=cause)
            self._note(EventKind.REPLICA_KILLED, at_s, pod, deleted)
        elif before is not None and before.ready and not before.terminating and not pod.ready:
            why = pod.how if not pod.running else "its readiness probes fail"
            self._note(EventKind.REPLICA_UNREADY, at_s, pod, ReplicaReadiness(uid=pod.uid, why=why))

    def _note(self, kind: EventKind, at_s: float, pod: Pod, detail: Detail) -> None:
        self.events.append(Event(at_s, kind, pod.name, detail.model_dump()))
