"""What a Kubernetes API server keeps, and the rules it keeps it by: versions, finalizers, owners, a history.

No schema is checked, no server is asked: `fake_kubernetes` speaks HTTP for it.
"""

import copy
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]
KINDS = {
    "namespaces": "Namespace",
    "nodes": "Node",
    "pods": "Pod",
    "services": "Service",
    "events": "Event",
    "endpointslices": "EndpointSlice",
    "leases": "Lease",
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "replicasets": "ReplicaSet",
    "podchaos": "PodChaos",
    "networkchaos": "NetworkChaos",
    "stresschaos": "StressChaos",
    "podnetworkchaos": "PodNetworkChaos",
    "podhttpchaos": "PodHttpChaos",
    "httpchaos": "HTTPChaos",
    "schedules": "Schedule",
    "workflows": "Workflow",
    "workflownodes": "WorkflowNode",
    "ingresses": "Ingress",
}
CLUSTER_WIDE = ("namespaces", "nodes")


@dataclass(frozen=True)
class Resource:
    """One collection: `Resource("chaos-mesh.org", "v1alpha1", "podchaos")`; the group of core objects is empty."""

    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def kind(self) -> str:
        return KINDS.get(self.plural, self.plural.removesuffix("s").capitalize())

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "Resource":
        """The collection that an object belongs to, by its apiVersion and kind."""
        group, _, version = str(item["apiVersion"]).rpartition("/")
        kind = str(item["kind"])
        plural = next((plural for plural, known in KINDS.items() if known == kind), f"{kind.lower()}s")
        return cls(group, version, plural)


@dataclass(frozen=True)
class Key:
    """One object's place."""

    resource: Resource
    namespace: str
    name: str


class RefusalError(Exception):
    """What an API server answers instead: a Status."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason

    @property
    def body(self) -> Object:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.status,
        }


@dataclass
class Frame:
    """One change, as a watch tells it."""

    version: int
    type: str
    key: Key
    object: Object


@dataclass
class Store:
    """All objects; whoever changes or reads several at once holds `changed`, which tells everybody of each change."""

    changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))
    objects: dict[Key, Object] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    version: int = 1000
    oldest: int = 0
    """Whoever watches from before it is told 410."""
    children_go: bool = True
    """Whether what an object owns goes with it."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def get(self, key: Key) -> Object:
        with self.changed:
            if key not in self.objects:
                raise RefusalError(
                    404, "NotFound", f'{key.resource.plural}.{key.resource.group} "{key.name}" not found'
                )
            return copy.deepcopy(self.objects[key])

    def find(self, plural: str, namespace: str | None = None) -> Iterator[Object]:
        """Copies of all objects of a collection; for tests and scripts."""
        with self.changed:
            found = [
                copy.deepcopy(item)
                for key, item in self.objects.items()
                if key.resource.plural == plural and namespace in (None, key.namespace)
            ]
        yield from found

    def create(self, resource: Resource, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        item = copy.deepcopy(body)
        item.setdefault("apiVersion", resource.api_version)
        item.setdefault("kind", resource.kind)
        metadata = item.setdefault("metadata", {})
        if not metadata.get("name"):
            metadata["name"] = f"{metadata.get('generateName', 'x-')}{uuid.uuid4().hex[:5]}"
        if namespace:
            metadata["namespace"] = namespace
        key = Key(resource, namespace, metadata["name"])
        with self.changed:
            if key in self.objects:
                raise RefusalError(409, "AlreadyExists", f'{resource.plural} "{key.name}" already exists')
            metadata.setdefault("uid", str(uuid.uuid4()))
            metadata["creationTimestamp"] = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            metadata["generation"] = 1
            return item if dry_run else self._put(key, item, "ADDED")

    def patch(self, key: Key, body: Object, *, dry_run: bool = False) -> Object:
        """Merge it in: null removes a key, a list is replaced whole. Source: RFC 7386."""
        with self.changed:
            old = self.get(key)
            version = (body.get("metadata") or {}).get("resourceVersion")
            _no_conflict(old, version)
            new: Object = merged(old, body)
            if new["metadata"]["uid"] != old["metadata"]["uid"]:
                raise RefusalError(422, "Invalid", f"{key.name} is invalid: metadata.uid: field is immutable")
            if dry_run or new == old:
                return new
            # Of an object of chaos the status is no subresource: writing it makes a new generation too.
            parts = (
                ("spec", "status")
                if key.resource.plural not in ("podnetworkchaos", "podhttpchaos")
                else ("spec",)
            )
            if any(new.get(part) != old.get(part) for part in parts):
                new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
            return self._settle(key, new)

    def replace(self, key: Key, body: Object) -> Object:
        """What a PUT does: what it does not say is gone, a status too."""
        with self.changed:
            old = self.get(key)
            _no_conflict(old, (body.get("metadata") or {}).get("resourceVersion"))
            new = copy.deepcopy(body)
            given = ("uid", "creationTimestamp", "deletionTimestamp")
            new["metadata"].update({name: old["metadata"][name] for name in given if name in old["metadata"]})
            return self._settle(key, new)

    def delete(self, key: Key, options: Mapping[str, Any] | None = None) -> Object:
        """Remove it, or only stamp it where finalizers hold it."""
        with self.changed:
            old = self.get(key)
            wanted = (options or {}).get("preconditions") or {}
            for name in ("uid", "resourceVersion"):
                if wanted.get(name) not in (None, old["metadata"].get(name)):
                    raise RefusalError(409, "Conflict", f"the {name} in the precondition does not match")
            if "deletionTimestamp" in old["metadata"]:
                return old
            old["metadata"]["deletionTimestamp"] = self.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            return self._settle(key, old)

    def take(self, key: Key, type_: str, item: Object) -> None:
        """Put in an object as somebody else made it, or take it out, with the frame that says so."""
        with self.changed:
            if key in self.objects or type_ == "ADDED":
                self._put(
                    key,
                    copy.deepcopy(item),
                    "MODIFIED" if type_ == "ADDED" and key in self.objects else type_,
                )

    def forget(self) -> None:
        """Keep no history: every watch from before now is too old."""
        with self.changed:
            self.oldest = self.version
            self.frames.clear()
            self.changed.notify_all()

    def _settle(self, key: Key, new: Object) -> Object:
        if "deletionTimestamp" not in new["metadata"] or new["metadata"].get("finalizers"):
            return self._put(key, new, "MODIFIED")
        self._put(key, new, "DELETED")
        self._collect(new["metadata"]["uid"])
        return copy.deepcopy(new)

    def _put(self, key: Key, item: Object, type_: str) -> Object:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        if type_ == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = item
        self.frames.append(Frame(self.version, type_, key, copy.deepcopy(item)))
        self.changed.notify_all()
        return copy.deepcopy(item)

    def _collect(self, uid: str) -> None:
        if not self.children_go:
            return
        for key, item in list(self.objects.items()):
            owners = item["metadata"].get("ownerReferences") or ()
            if any(owner["uid"] == uid for owner in owners) and key in self.objects:
                self.delete(key)


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(old) if isinstance(old, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def matches(item: Object, labels: str, fields: str) -> bool:
    """Whether label and field selectors, as in a query, let an object through: `=`, `!=`, and a label's presence."""
    of_object = item["metadata"].get("labels") or {}
    return all(
        _holds(of_object.get(name), operator, value) for name, operator, value in _terms(labels)
    ) and all(_holds(_field(item, name), operator, value) for name, operator, value in _terms(fields))


def _terms(selector: str) -> Iterator[tuple[str, str, str]]:
    for term in filter(None, selector.split(",")):
        if "!=" in term:
            name, _, value = term.partition("!=")
            yield name.strip(), "!=", value.strip()
        elif "=" in term:
            name, _, value = term.replace("==", "=").partition("=")
            yield name.strip(), "=", value.strip()
        else:
            yield term.strip().removeprefix("!"), "absent" if term.strip().startswith("!") else "exists", ""


def _holds(found: str | None, operator: str, value: str) -> bool:
    return {"=": found == value, "!=": found != value, "exists": found is not None, "absent": found is None}[
        operator
    ]


def _field(item: Object, path: str) -> str:
    value: Any = item
    for part in path.split("."):
        value = value.get(part, {}) if isinstance(value, Mapping) else {}
    return "" if value == {} else str(value)


def _no_conflict(old: Object, version: str | None) -> None:
    if version not in (None, "", old["metadata"]["resourceVersion"]):
        raise RefusalError(
            409,
            "Conflict",
            f'Operation cannot be fulfilled on "{old["metadata"]["name"]}": the object has been modified; '
            "please apply your changes to the latest version and try again",
        )
