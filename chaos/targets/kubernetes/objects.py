"""Objects of an API server as this target speaks of them: where they lie, how they are asked for, what may go wrong.

Everything here is plain JSON, so that nothing of an object is lost on the way through somebody's types.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

Item: TypeAlias = Mapping[str, Any]
"""One object, as the API server tells it."""
CHAOS_MESH = "chaos-mesh.org"
CHAOS_KINDS = ("PodChaos", "NetworkChaos", "StressChaos", "HTTPChaos")
"""Every kind of Chaos Mesh that a run may create, and so every kind that may be left behind."""
PER_POD: Mapping[str, str] = {"NetworkChaos": "PodNetworkChaos", "HTTPChaos": "PodHttpChaos"}
"""Kinds whose rules Chaos Mesh gathers in one object for each pod, under the pod's name: there something may stay."""
FORBIDDEN, NOT_FOUND, CONFLICT = 403, 404, 409


class ApiError(Exception):
    """The API server did not do what was asked of it, or nobody knows whether it did."""

    def __init__(self, status: int, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        """Of HTTP; 0 where no answer came."""
        self.retry_after_s = retry_after_s
        """How long to wait, where the server said so."""

    @property
    def webhook(self) -> bool:
        """Whether Chaos Mesh's controller is away: every create and patch needs its webhook, a delete does not."""
        return "failed calling webhook" in str(self)


@dataclass(frozen=True, slots=True)
class Collection:
    """All objects of one resource in one namespace, or of one that has none; the group of core objects is empty."""

    group: str
    version: str
    plural: str
    namespace: str

    @property
    def path(self) -> str:
        """Of the API."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return (
            f"{root}/namespaces/{self.namespace}/{self.plural}" if self.namespace else f"{root}/{self.plural}"
        )

    @property
    def resource(self) -> str:
        """As kubectl and RBAC call it: `networkchaos.chaos-mesh.org`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def __truediv__(self, name: str) -> "Place":
        return Place(self, name)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one object lies."""

    collection: Collection
    name: str

    @property
    def path(self) -> str:
        """Of the API."""
        return f"{self.collection.path}/{self.name}"

    def __str__(self) -> str:
        return f"{self.collection.plural} {self.collection.namespace}/{self.name}"


class Objects(Protocol):
    """An API server. Every call ends within the time it is given, and raises ApiError for whatever went wrong."""

    @property
    def kubectl(self) -> str:
        """What a person types to ask the same server: `kubectl --context kind`."""

    def get(self, place: Place, *, within_s: float) -> Item | None:
        """The object; None where there is none."""

    def list(self, collection: Collection, *, labels: str = "", within_s: float) -> Sequence[Item]:
        """Every object whose labels a selector lets through."""

    def create(self, collection: Collection, body: Item, *, within_s: float) -> Item:
        """Make an object, its unknown keys refused; the one that is there now."""

    def patch(self, place: Place, body: Item, *, within_s: float) -> Item | None:
        """Merge into an object (RFC 7386); what it is now, None where there is none."""

    def delete(self, place: Place, *, uid: str = "", within_s: float) -> None:
        """Delete an object, and no other of its name where a uid is given; fine where there is none."""


def chaos(plural: str, namespace: str) -> Collection:
    """All objects of one kind of Chaos Mesh."""
    return Collection(CHAOS_MESH, "v1alpha1", plural, namespace)


def chaos_collections(namespace: str) -> Sequence[tuple[str, Collection]]:
    """Wherever a run may have left something, with the kind of object that is there."""
    return [(kind, chaos(kind.lower(), namespace)) for kind in CHAOS_KINDS]


def pods(namespace: str) -> Collection:
    """All pods."""
    return Collection("", "v1", "pods", namespace)


def leases(namespace: str) -> Collection:
    """All leases."""
    return Collection("coordination.k8s.io", "v1", "leases", namespace)


def place_of(item: Item) -> Place:
    """Where an object of Chaos Mesh lies."""
    return chaos(str(item["kind"]).lower(), item["metadata"]["namespace"]) / str(item["metadata"]["name"])
