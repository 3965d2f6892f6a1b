"""Tapes what a live Kubernetes with Chaos Mesh says while one object lives, for tests to play without a cluster.

    python -m tests.cluster_tape MANIFEST HOLD_SECONDS [--context C] > tests/data/kubernetes/tapes/NAME.jsonl

A line for each list that a watch began with, for each frame with the instant of its arrival, and for each call. Left
out is whatever a test needs not and a cluster's owner would not show: managed fields, volumes, mounts, environment,
commands, accounts, last applied configurations, addresses of nodes.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from chaos.targets.kubernetes.api import Api
from chaos.targets.kubernetes.objects import CHAOS_MESH, ApiError, Collection, Item, chaos, pods

_CALL_S = 30.0
_SETTLE_S = 2.0
_SECRET = frozenset(
    (
        *("managedFields", "volumes", "volumeMounts", "env", "envFrom", "command", "args", "serviceAccount"),
        *("serviceAccountName", "imagePullSecrets", "hostIP", "hostIPs", "securityContext", "tolerations"),
        *("kubectl.kubernetes.io/last-applied-configuration", "imageID", "resources", "lifecycle"),
    )
)
_PLURALS = {"Schedule": "schedules", "Workflow": "workflows", "WorkflowNode": "workflownodes"}


class Tape:
    """Lines on stdout, one at a time."""

    def __init__(self, api: Api) -> None:
        """Tape what this server says."""
        self._api, self._lock = api, threading.Lock()

    def put(self, **row: Any) -> None:
        """Write one line."""
        with self._lock, suppress(BrokenPipeError):
            print(json.dumps(without_secrets(row), separators=(",", ":")), flush=True)

    def call(self, method: str, path: str, body: Item | None = None) -> int:
        """Make a call; the status of its answer."""
        at_s = time.time()
        try:
            answer: Any = self._api._call(method, path, body, within_s=_CALL_S)
            status = 201 if method == "POST" else 200
        except ApiError as error:
            answer, status = {"message": str(error)}, error.status
        self.put(
            at=at_s, call=f"{method} {path}", body=body, status=status, answer=answer, took=time.time() - at_s
        )
        return status

    def watch(self, name: str, collection: Collection) -> None:
        """List, and follow in a thread of its own."""
        listing = self._api.listing(collection, within_s=_CALL_S)
        objects = [] if name == "events" else [*listing.items]
        self.put(at=time.time(), list=name, resourceVersion=listing.version, objects=objects)
        threading.Thread(target=self._follow, args=(name, collection, listing.version), daemon=True).start()

    def _follow(self, name: str, collection: Collection, version: str) -> None:
        for frame in self._api.watch(collection, version, lasts_s=3600):
            self.put(at=time.time(), watch=name, frame={"type": frame.type, "object": frame.item})


def without_secrets(value: Any) -> Any:
    """The same, with all that no test needs left out."""
    if isinstance(value, Mapping):
        return {key: without_secrets(inner) for key, inner in value.items() if key not in _SECRET}
    return [*map(without_secrets, value)] if isinstance(value, list) else value


def watched(kind: str, namespace: str) -> Mapping[str, Collection]:
    """What is followed, by the name it has on the tape."""
    found = {
        "object": chaos(_PLURALS.get(kind, kind.lower()), namespace),
        "pods": pods(namespace),
        "events": Collection("", "v1", "events", namespace),
        "podnetworkchaos": chaos("podnetworkchaos", namespace),
    }
    if kind == "HTTPChaos":
        found["podhttpchaos"] = chaos("podhttpchaos", namespace)
    if kind in _PLURALS:
        children = ("podchaos", "networkchaos", "workflownodes")
        found |= {plural: chaos(plural, namespace) for plural in children}
    return found


def main() -> int:
    """Tape one object; 0 where it was gone at the end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("hold_s", type=float)
    parser.add_argument("--context")
    parser.add_argument("--deleted-within", type=float, default=40.0)
    given = parser.parse_args()
    body = yaml.safe_load(given.manifest.read_text())
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    assert body["apiVersion"].startswith(CHAOS_MESH)
    api = Api.connect(given.context)
    tape, where = Tape(api), watched(body["kind"], namespace)
    for each, collection in where.items():
        tape.watch(each, collection)
    if tape.call("POST", where["object"].path, body) >= 300:
        return 1
    time.sleep(given.hold_s)
    place = where["object"] / name
    tape.call("DELETE", place.path)
    deadline_s = time.monotonic() + given.deleted_within
    while (there := api.get(place, within_s=_CALL_S) is not None) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    time.sleep(_SETTLE_S)
    return int(there)


if __name__ == "__main__":
    sys.exit(main())
