"""What Chaos Mesh does in a cluster, scripted: it reads and writes the store of `fake_kubernetes`.

    with ChaosMesh(api) as mesh:
        mesh.daemon_up = False     # in mid-fault
        mesh.controller_up = False

Phases, counters, messages, finalizer and the objects of each pod's network are those of a live 2.8.3.
"""

import threading
from collections.abc import ItemsView, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from chaos.reading.quantities import go_duration_ns
from tests.support.fake_kubernetes import CHAOS, FakeKubernetes
from tests.support.kubernetes_store import Key, Object, RefusalError, Resource

FINALIZER = "chaos-mesh/records"
KINDS = ("podchaos", "networkchaos", "stresschaos", "httpchaos")
GATHERED = {"NetworkChaos": "podnetworkchaos", "HTTPChaos": "podhttpchaos"}
"""Where the entries of all objects of a kind are gathered for each pod."""
PARTS = {"podnetworkchaos": ("tcs", "iptables", "ipsets"), "podhttpchaos": ("rules",)}
ONE_SHOT = ("pod-kill", "container-kill")
NO_DAEMON = "cannot find daemonIP on node {node}"
NO_TPROXY = "failed to apply for pod {namespace}/{name}: apply config: send http request: unexpected EOF"
NO_NETEM = "failed to apply for pod {namespace}/{name}: unable to set tcs for pod {name}"
_MOST_EVENTS = 5
_LOOK_EVERY_S = 0.02


class FailedError(Exception):
    """The daemon could not do it."""


@dataclass
class ChaosMesh:
    """A controller and its daemon; each may be taken away at any time."""

    api: FakeKubernetes
    controller_up: bool = True
    daemon_up: bool = True
    netem: bool = True
    """Whether the kernel can delay and lose packets; without it such faults never get in, nor out."""
    tproxy: bool = True
    """Whether the daemon can put its proxy in front of a pod; without it a rule on HTTP never gets in, nor out."""
    injects: bool = True
    """Whether it gets as far as injecting; it selects, but records stay as they are where not."""
    finalizer_sticks: bool = False
    """Whether the finalizer stays although everything is recovered."""
    in_force: set[tuple[str, str]] = field(default_factory=set)
    """(namespace/pod, namespace/object) whose rules are in the pod's network or whose processes stress it."""
    _applied: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """Sources of the entries that are in force, by where they are gathered and for which pod."""
    _ends: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        with self.api.store.changed:
            self.api.store.changed.notify_all()
        assert self._thread is not None
        self._thread.join(10)

    def _run(self) -> None:
        store = self.api.store
        with store.changed:
            while not self._ends.is_set():
                self.api.webhook_down = not self.controller_up
                before = store.version
                self._forget_dead_pods()
                if self.controller_up:
                    self._round()
                if store.version == before:
                    store.changed.wait(_LOOK_EVERY_S)

    def _round(self) -> None:
        for key in list(self.api.store.objects):
            with suppress(RefusalError):  # gone meanwhile
                if key.resource.plural in PARTS:
                    self._apply_gathered(key)
                elif key.resource.plural in KINDS:
                    self._reconcile(key, self.api.store.get(key))

    def _reconcile(self, key: Key, item: Object) -> None:
        deleted = "deletionTimestamp" in item["metadata"]
        if not deleted and FINALIZER not in (item["metadata"].get("finalizers") or ()):
            item = self.api.store.patch(key, {"metadata": {"finalizers": [FINALIZER]}})
        experiment = item.setdefault("status", {}).setdefault("experiment", {})
        stops = deleted or self._time_is_up(item)
        records = experiment.get("containerRecords")
        if records is None and not deleted:
            records = self._select(item)
        for record in records or ():
            if self.injects or deleted:
                self._move(item, record, stops=stops)
        if records is not None:
            phase = {"desiredPhase": "Stop" if stops else "Run", "containerRecords": records}
            status = {"experiment": phase, "conditions": _conditions(records, item)}
            self.api.store.patch(key, {"status": status})
        recovered = all(record["phase"] == "Not Injected" for record in records or ())
        if deleted and recovered and not self.finalizer_sticks:
            self.api.store.patch(key, {"metadata": {"finalizers": None}})

    def _select(self, item: Object) -> list[Object] | None:
        sources = [(".", pod) for pod in self._selected(item["spec"].get("selector") or {}, item)]
        target = item["spec"].get("target") if item["kind"] == "NetworkChaos" else None
        others = [(".Target", pod) for pod in self._selected(target["selector"], item)] if target else []
        if not sources:
            self._say(item, "Warning", "Failed", "Failed to select targets: no pod is selected")
            return None
        return [
            {
                "id": _id(pod),
                "selectorKey": at,
                "phase": "Not Injected",
                "injectedCount": 0,
                "recoveredCount": 0,
            }
            for at, pod in (*sources, *others)
        ]

    def _selected(self, selector: Mapping[str, Any], item: Object) -> Iterator[Object]:
        own = item["metadata"]["namespace"]
        for pod in self.api.store.find("pods"):
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            labels = (selector.get("labelSelectors") or {}).items()
            if selector.get("pods"):
                if name in selector["pods"].get(namespace, ()):
                    yield pod
            elif namespace in (selector.get("namespaces") or (own,)) and labels <= _labels(pod):
                yield pod

    def _move(self, item: Object, record: Object, *, stops: bool) -> None:
        """One record one step on: applied, or recovered where it is to stop; half applied must be applied first."""
        phase = record["phase"]
        operation = "Recover" if stops and phase.startswith("Injected") else "Apply"
        if phase == ("Not Injected" if stops else "Injected"):
            return
        pod = self._pod(record["id"])
        try:
            if operation == "Apply":
                self._apply(item, record, pod)
                record["phase"] = "Injected"
                record["injectedCount"] += 1
            else:
                self._recover(item, pod)
                record["phase"] = "Not Injected"
                record["recoveredCount"] += 1
            event = {"type": "Succeeded", "operation": operation}
        except FailedError as failed:
            waits = item["kind"] in GATHERED
            record["phase"] = ("Not Injected" if operation == "Apply" else "Injected") + "/Wait" * waits
            event = {"type": "Failed", "operation": operation, "message": str(failed)}
        events = record.setdefault("events", [])
        if len(events) < _MOST_EVENTS or event["type"] == "Succeeded":
            events.append({**event, "timestamp": self.api.store.now().strftime("%Y-%m-%dT%H:%M:%SZ")})

    def _apply(self, item: Object, record: Object, pod: Object | None) -> None:
        if pod is None:
            raise FailedError(f'pods "{record["id"]}" not found')
        action = item["spec"].get("action")
        if action == "pod-kill":
            self.api.store.delete(self.api.key("pods", pod["metadata"]["name"], pod["metadata"]["namespace"]))
        elif item["kind"] in GATHERED:
            self._gather(pod, item, _entries(item))
        else:
            self._ask_daemon(pod, needs=item["kind"] == "StressChaos" or action == "container-kill")
            if action not in ONE_SHOT:
                self.in_force.add((_id(pod), _source(item)))

    def _recover(self, item: Object, pod: Object | None) -> None:
        if pod is None or item["spec"].get("action") in ONE_SHOT:
            return
        if item["kind"] in GATHERED:
            self._gather(pod, item, {})
        else:
            self._ask_daemon(pod, needs=item["kind"] == "StressChaos")
            self.in_force.discard((_id(pod), _source(item)))

    def _gather(self, pod: Object, item: Object, entries: Mapping[str, list[Object]]) -> None:
        """Put an object's entries into what is gathered for the pod, or take them out; fails as the daemon does."""
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        key = Key(Resource(*CHAOS, GATHERED[item["kind"]]), namespace, name)
        if key not in self.api.store.objects:
            owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}
            metadata = {"name": name, "ownerReferences": [owner]}
            self.api.store.create(key.resource, namespace, {"metadata": metadata, "spec": {}})
        spec = self.api.store.get(key).get("spec") or {}
        lists = {
            part: [each for each in spec.get(part, ()) if each["source"] != _source(item)]
            + entries.get(part, [])
            for part in PARTS[key.resource.plural]
        }
        self.api.store.patch(key, {"spec": {part: found or None for part, found in lists.items()}})
        self._apply_gathered(key)
        if failed := (self.api.store.get(key).get("status") or {}).get("failedMessage"):
            raise FailedError(failed)

    def _apply_gathered(self, key: Key) -> None:
        """What the daemon makes of what is gathered for a pod: all of its entries, or a message why not."""
        item = self.api.store.get(key)
        pod = self._pod(f"{key.namespace}/{key.name}")
        status = item.get("status") or {}
        if pod is None or (
            status.get("observedGeneration") == item["metadata"]["generation"]
            and not status.get("failedMessage")
        ):
            return
        spec = item.get("spec") or {}
        try:
            self._ask_daemon(pod, needs=True)
            self._ask_kernel(key, spec)
        except FailedError as failed:
            self._observe(key, item, str(failed))
            return
        plural = key.resource.plural
        now = {entry["source"] for entries in spec.values() for entry in entries}
        self.in_force -= {(_id(pod), source) for source in self._applied.get((plural, _id(pod)), ())}
        self.in_force |= {(_id(pod), source) for source in now}
        self._applied[plural, _id(pod)] = now
        self._observe(key, item, None)

    def _observe(self, key: Key, item: Object, message: str | None) -> None:
        status = {"observedGeneration": item["metadata"]["generation"], "failedMessage": message}
        self.api.store.patch(key, {"status": status})

    def _ask_daemon(self, pod: Object, *, needs: bool) -> None:
        if needs and not self.daemon_up:
            raise FailedError(NO_DAEMON.format(node=pod["spec"]["nodeName"]))

    def _ask_kernel(self, key: Key, spec: Mapping[str, Any]) -> None:
        if spec.get("tcs") and not self.netem:
            raise FailedError(NO_NETEM.format(namespace=key.namespace, name=key.name))
        if spec.get("rules") and not self.tproxy:
            raise FailedError(NO_TPROXY.format(namespace=key.namespace, name=key.name))

    def _forget_dead_pods(self) -> None:
        """What was in the network of a pod goes with it."""
        alive = {_id(pod) for pod in self.api.store.find("pods")}
        self.in_force = {pair for pair in self.in_force if pair[0] in alive}

    def _pod(self, record_id: str) -> Object | None:
        namespace, name = record_id.split("/")[:2]
        return next(
            (p for p in self.api.store.find("pods", namespace) if p["metadata"]["name"] == name), None
        )

    def _time_is_up(self, item: Object) -> bool:
        duration = item["spec"].get("duration")
        if duration is None or item["spec"].get("action") in ONE_SHOT:
            return False
        created = datetime.fromisoformat(item["metadata"]["creationTimestamp"])
        return (self.api.store.now() - created).total_seconds() >= go_duration_ns(duration) / 1e9

    def _say(self, item: Object, type_: str, reason: str, message: str) -> None:
        about = {
            "kind": item["kind"],
            "name": item["metadata"]["name"],
            "namespace": item["metadata"]["namespace"],
        }
        name = f"{about['name']}.{reason.lower()}"
        if name in self.api.names("events"):
            return
        body = {
            "metadata": {"name": name},
            "involvedObject": about,
            "type": type_,
            "reason": reason,
            "message": message,
        }
        self.api.store.create(Resource("", "v1", "events"), about["namespace"], body)


def _conditions(records: list[Object], item: Object) -> list[Object]:
    holds = {
        "Selected": bool(records),
        "AllInjected": bool(records) and all(record["phase"] == "Injected" for record in records),
        "AllRecovered": bool(records) and all(record["phase"] == "Not Injected" for record in records),
        "Paused": item["metadata"].get("annotations", {}).get("experiment.chaos-mesh.org/pause") == "true",
    }
    return [{"type": name, "status": str(holds_)} for name, holds_ in holds.items()]


def _entries(item: Object) -> dict[str, list[Object]]:
    source = {"source": _source(item)}
    if item["kind"] == "HTTPChaos":
        return {"rules": [{**source, "port": item["spec"]["port"], "target": item["spec"]["target"]}]}
    if item["spec"]["action"] == "partition":
        return {"iptables": [{**source, "name": "INPUT"}], "ipsets": [{**source, "name": "set"}]}
    return {"tcs": [{**source, "type": "bandwidth" if item["spec"]["action"] == "bandwidth" else "netem"}]}


def _labels(pod: Object) -> ItemsView[str, str]:
    return dict[str, str](pod["metadata"].get("labels") or {}).items()


def _id(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _source(item: Object) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"
