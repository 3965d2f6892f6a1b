"""What a run holds of a cluster while it goes on: a connection, the lease, and the watch of its replicas."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

from chaos.errors import InconclusiveError, RefusedError
from chaos.targets import Node, Replica
from chaos.targets.kubernetes import guards, sight
from chaos.targets.kubernetes.api import Api
from chaos.targets.kubernetes.evidence.probing import Prober
from chaos.targets.kubernetes.evidence.witness import Witness
from chaos.targets.kubernetes.exposing import Forward
from chaos.targets.kubernetes.lifecycle import Lifecycle
from chaos.targets.kubernetes.objects import ApiError, Collection, Item, pods
from chaos.targets.kubernetes.pods import Pod, replica
from chaos.targets.kubernetes.settings import Settings
from chaos.targets.kubernetes.undoing.lease import Lease
from chaos.targets.kubernetes.undoing.lost_objects import Record
from chaos.targets.kubernetes.watching import Loss, Watching

_LOOK_EVERY_S = 0.2


@dataclass(slots=True)
class Attachment:
    """Entered it is there, with all wanted replicas ready; left all of it is given back, but for what was injected."""

    settings: Settings
    record: Record
    """Of the run: written before anything, and left for `aftershock recover` unless somebody removes it."""
    say: Callable[[str], object]
    on_progress: Callable[[int, int], None]
    """Told the ready and the wanted number of replicas while it waits for them."""
    wanted: int = 0
    url: str = ""
    """Of the service."""
    nodes: Sequence[Node] = ()
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    _stack: ExitStack = field(default_factory=ExitStack)
    _api: Api | None = None
    _lease: Lease | None = None
    _pods: Watching | None = None
    _losses_told: int = 0

    def __enter__(self) -> Self:
        """Guards, the record, the lease, the watch, and all replicas ready.

        Raises:
            RefusedError: a guard objects, another run is there, or they do not become ready in time.
            InconclusiveError: the API server does not say.
        """
        try:
            self._attach()
        except BaseException:
            self.record.remove()  # nothing was created yet
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back; a second time changes nothing."""
        self._stack.close()

    @property
    def api(self) -> Api:
        """The API server."""
        if self._api is None:
            raise InconclusiveError("the Kubernetes target was not entered")
        return self._api

    @property
    def witness(self) -> Witness:
        """Who looks at its replicas."""
        return Witness(Prober(self.api, self.item, self.settings.metrics_port), self.pod)

    def require_held(self) -> None:
        """See that the lease is held.

        Raises:
            AbortedError: it is not any more.
        """
        if self._lease is not None:
            self._lease.require()

    def items(self) -> Sequence[Item]:
        """The pods of its replicas.

        Raises:
            InconclusiveError: their watch is lost.
        """
        return self._watching.items()

    def replicas(self) -> Sequence[Replica]:
        """The same as selectors see them, by name; as last heard while their watch is lost, which is said."""
        if (lost := len(self.losses())) > self._losses_told:
            self._losses_told = lost
            self.say(f"the watch of {self.watched} is lost: nobody knows what becomes of them")
        return sorted((replica(item) for item in self._watching.known()), key=lambda one: one.name)

    @property
    def watched(self) -> str:
        """In words."""
        return f"pods in {self.settings.namespace}"

    def losses(self) -> Sequence[Loss]:
        """When nobody knew what became of them."""
        return () if self._pods is None else self._pods.losses()

    @property
    def _watching(self) -> Watching:
        if self._pods is None:
            raise InconclusiveError("the Kubernetes target was not entered")
        return self._pods

    def item(self, uid: str) -> Item | None:
        """The pod of a uid; None where it is gone."""
        return next((item for item in self.items() if item["metadata"]["uid"] == uid), None)

    def pod(self, uid: str) -> Pod | None:
        """The same, read."""
        item = self.item(uid)
        return None if item is None else Pod.of(item)

    def _attach(self) -> None:
        settings, enter = self.settings, self._stack.enter_context
        api = self._api = settings.connect()
        self._stack.callback(api.close)
        guards.require_allowed(api, settings.namespace)
        guards.require_chaos_mesh(api)
        self.wanted = sight.wanted(api, settings)
        self._put_on_record()
        self._lease = enter(Lease(api, settings.namespace, self.record.run_id, self.say))
        where = pods(settings.namespace)
        self.nodes = sight.of(api, settings).nodes
        self.lifecycle.zones = {node.name: node.labels for node in self.nodes}
        try:
            watching = enter(Watching(api, where, settings.labels, on_frame=self.lifecycle.take))
        except ApiError as error:
            raise guards.refusal(error, "list", where.resource, settings.namespace) from error
        self._pods = watching
        self._follow_pulls(api)
        self._until_ready(watching)
        self.url = settings.url or self._forward(api)

    def _follow_pulls(self, api: Api) -> None:
        """Hear from the kubelets when images are there."""
        events = Collection("", "v1", "events", self.settings.namespace)
        pulls = Watching(api, events, fields="reason=Pulled", on_frame=self.lifecycle.pulled)
        try:
            self._stack.enter_context(pulls)
        except ApiError as error:
            raise guards.refusal(error, "list", "events", self.settings.namespace) from error

    def _forward(self, api: Api) -> str:
        """The address of a port of ours that leads to the Service."""
        settings = self.settings
        assert settings.service is not None

        def ready() -> Sequence[Item]:
            return [item for item in self.items() if replica(item).ready]

        return self._stack.enter_context(Forward(api, settings.namespace, settings.service, ready)).url

    def _until_ready(self, watching: Watching) -> None:
        deadline_s = time.monotonic() + self.settings.ready_within_s
        while True:
            self.require_held()
            watching.require()
            ready = sum(one.ready for one in self.replicas())
            self.on_progress(ready, self.wanted)
            if ready >= self.wanted:
                return
            if time.monotonic() > deadline_s:
                raise RefusedError(
                    f"{ready} of {self.wanted} replicas in {self.settings.where} were ready within "
                    f"{self.settings.ready_within_s:g} s"
                )
            watching.wait(lambda: False, _LOOK_EVERY_S)

    def _put_on_record(self) -> None:
        try:
            self.record.write()
        except OSError as error:
            raise RefusedError(
                f"the run cannot be put on record, so that it could be found were it lost: {error}",
                hint="free some space, or name a folder that can be written to in XDG_STATE_HOME",
            ) from error
