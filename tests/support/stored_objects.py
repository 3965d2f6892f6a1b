"""Objects of a fake API server without its sockets, on a clock of the test's own: hours of failures in milliseconds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chaos.targets.kubernetes.objects import ApiError, Collection, Item, Place
from chaos.targets.kubernetes.undoing.patience import Clock
from tests.support.chaos_mesh import ChaosMesh
from tests.support.fake_kubernetes import CHAOS, WEBHOOK_DOWN, FakeKubernetes
from tests.support.kubernetes_store import Key, RefusalError, Resource

Mishap = Callable[[str], int | None]
"""What happens to a call, by its verb: an HTTP status instead of an answer, 0 for none at all, None for nothing."""


@dataclass
class StoredObjects:
    """What `Objects` asks for, and the clock that it is measured by: Chaos Mesh acts whenever time passes."""

    api: FakeKubernetes
    mesh: ChaosMesh
    mishap: Mishap = lambda _: None
    kubectl: str = "kubectl --context fake"
    now_s: float = 0.0
    began: datetime = field(default_factory=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    at: dict[float, Callable[[], object]] = field(default_factory=dict)
    """What happens when."""
    verbs: list[str] = field(default_factory=list)
    """Of all calls."""

    def __post_init__(self) -> None:
        self.api.store.now = lambda: self.began + timedelta(seconds=self.now_s)

    @property
    def clock(self) -> Clock:
        """Which waiting costs nothing on."""
        return Clock(lambda: self.now_s, self.sleep)

    def sleep(self, seconds: float) -> None:
        """Let time pass, and Chaos Mesh act as long as it has something to do."""
        self.now_s += seconds
        for due_s in sorted(due_s for due_s in self.at if due_s <= self.now_s):
            self.at.pop(due_s)()
        self.settle()

    def settle(self) -> None:
        """Let Chaos Mesh do what it would do by now."""
        store = self.api.store
        self.api.webhook_down = not self.mesh.controller_up
        self.mesh._forget_dead_pods()
        before = None
        while self.mesh.controller_up and before != store.version:
            before = store.version
            self.mesh._round()

    def get(self, place: Place, *, within_s: float) -> Item | None:
        self._call("get", within_s)
        return self._or_none(lambda: self.api.store.get(_key(place)))

    def list(self, collection: Collection, *, labels: str = "", within_s: float) -> Sequence[Item]:
        self._call("list", within_s)
        wanted = dict(part.split("=") for part in filter(None, labels.split(",")))
        return [
            item
            for item in self.api.store.find(collection.plural, collection.namespace)
            if wanted.items() <= (item["metadata"].get("labels") or {}).items()
        ]

    def create(self, collection: Collection, body: Item, *, within_s: float) -> Item:
        self._call("create", within_s, collection)
        return self._answer(
            lambda: self.api.store.create(_resource(collection), collection.namespace, dict(body))
        )

    def patch(self, place: Place, body: Item, *, within_s: float) -> Item | None:
        self._call("patch", within_s, place.collection)
        return self._or_none(lambda: self.api.store.patch(_key(place), dict(body)))

    def delete(self, place: Place, *, uid: str = "", within_s: float) -> None:
        self._call("delete", within_s)
        options = {"preconditions": {"uid": uid}} if uid else {}
        self._or_none(lambda: self.api.store.delete(_key(place), options))

    def _call(self, verb: str, within_s: float, changes: Collection | None = None) -> None:
        assert within_s > 0
        self.verbs.append(verb)
        status = self.mishap(verb)
        self.now_s += within_s if status == 0 else 0.01
        if status is not None:
            raise ApiError(status, f"mishap {status}", 3.0 if status == 429 else 0.0)
        if changes is not None and self.api.webhook_down and changes.group == CHAOS[0]:
            raise ApiError(500, WEBHOOK_DOWN.format(plural=changes.plural))

    def _or_none(self, act: Callable[[], Item]) -> Item | None:
        try:
            return self._answer(act)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def _answer(self, act: Callable[[], Item]) -> Item:
        try:
            return act()
        except RefusalError as refusal:
            raise ApiError(refusal.status, f"{refusal.status}: {refusal}") from refusal


def _resource(collection: Collection) -> Resource:
    return Resource(collection.group, collection.version, collection.plural)


def _key(place: Place) -> Key:
    return Key(_resource(place.collection), place.collection.namespace, place.name)
