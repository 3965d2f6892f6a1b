"""A pod as its API server tells it, read: as a selector sees it, and how its containers are. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from chaos.targets import Node, Replica
from chaos.targets.kubernetes.objects import Item

ZONE = "topology.kubernetes.io/zone"
_SPEC_FIELDS = ("restartPolicy", "schedulerName", "serviceAccountName", "hostNetwork")
_GRACE_S = 30
"""Of a pod that says nothing of it."""
_STATUS_FIELDS = ("podIP", "nominatedNodeName")


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod."""

    name: str
    image: str
    """As the pod's spec says."""
    restarts: int
    id: str
    """Of the container that there is, or was last; empty before there was one."""
    running: bool
    started: str
    """When the one that runs was started: RFC 3339, whole seconds; empty where none runs."""
    ended: str
    """How the one before it ended, or this one: `exit code 137`; empty where none has."""
    waits: str
    """Why none runs: `CrashLoopBackOff`; empty where one does."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One incarnation of a replica."""

    name: str
    uid: str
    node: str
    ready: bool
    terminating: bool
    phase: str
    containers: tuple[Container, ...]

    @classmethod
    def of(cls, item: Item) -> Self:
        """As the API server tells it."""
        metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
        seen = {each["name"]: each for each in status.get("containerStatuses") or ()}
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            node=spec.get("nodeName") or "",
            ready=condition(item, "Ready") == "True",
            terminating="deletionTimestamp" in metadata,
            phase=status.get("phase") or "Unknown",
            containers=tuple(
                _container(each, seen.get(each["name"], {})) for each in spec.get("containers") or ()
            ),
        )

    @property
    def restarts(self) -> int:
        """Of all its containers."""
        return sum(each.restarts for each in self.containers)

    @property
    def running(self) -> bool:
        """Whether all of its containers run."""
        return bool(self.containers) and all(each.running for each in self.containers)

    @property
    def how(self) -> str:
        """Of its containers, in words."""
        return ", ".join(
            "running" if each.running else each.waits or each.ended or "not yet there"
            for each in self.containers
        )


def replica(item: Item) -> Replica:
    """A pod as a selector sees it."""
    pod, metadata = Pod.of(item), item["metadata"]
    spec, status = item.get("spec") or {}, item.get("status") or {}
    fields = {f"spec.{name}": _text(spec.get(name)) for name in _SPEC_FIELDS}
    fields |= {f"status.{name}": _text(status.get(name)) for name in _STATUS_FIELDS}
    return Replica(
        name=pod.name,
        namespace=metadata["namespace"],
        uid=pod.uid,
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        node=pod.node,
        phase=pod.phase,
        ready=pod.ready and not pod.terminating,
        terminating=pod.terminating,
        fields=fields,
        grace_s=float(spec.get("terminationGracePeriodSeconds", _GRACE_S)),
    )


def node(item: Item) -> Node:
    """A node as a selector sees it."""
    return Node(item["metadata"]["name"], item["metadata"].get("labels") or {})


def condition(item: Item, type_: str) -> str:
    """The status of one of its conditions, `True`, `False` or `Unknown`; empty where it has none such."""
    return str(_condition(item, type_).get("status") or "")


def since(item: Item, type_: str) -> str:
    """Since when one of its conditions is as it is: RFC 3339, whole seconds; empty where it has none such."""
    return str(_condition(item, type_).get("lastTransitionTime") or "")


def _condition(item: Item, type_: str) -> Mapping[str, Any]:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == type_), {})


def _container(spec: Mapping[str, Any], seen: Mapping[str, Any]) -> Container:
    state, last = seen.get("state") or {}, seen.get("lastState") or {}
    ended = state.get("terminated") or last.get("terminated")
    return Container(
        name=spec["name"],
        image=spec.get("image") or "",
        restarts=int(seen.get("restartCount") or 0),
        id=seen.get("containerID") or "",
        running="running" in state,
        started=str((state.get("running") or {}).get("startedAt") or ""),
        ended=f"exit code {ended.get('exitCode')}" if ended else "",
        waits=str((state.get("waiting") or {}).get("reason") or ""),
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value or "")
