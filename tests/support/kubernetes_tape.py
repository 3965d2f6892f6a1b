"""Plays what a live API server said while one fault lived, to whoever creates that fault in `fake_kubernetes`.

    tape = Tape("partition")
    tape.begin(api)                   # the pods as they were
    with tape.playing(api, speed=4):  # frames come once the object is created, and more once it is deleted
        ...

The object on the tape takes the place of the one that is created: its own name, labels, annotations and spec, and the
tape's status, stamps and finalizers. Everything else, uids too, is as taped.
"""

import copy
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.fake_kubernetes import FakeKubernetes, Request
from tests.support.kubernetes_store import Key, Object, Resource

TAPES = Path(__file__).parent.parent / "data" / "kubernetes" / "tapes"
CORE = {"pods": Resource("", "v1", "pods"), "events": Resource("", "v1", "events")}


def taped(name: str) -> list[dict[str, Any]]:
    """Every line of a tape, as it was written."""
    return [json.loads(line) for line in (TAPES / f"{name}.jsonl").read_text().splitlines()]


@dataclass
class Tape:
    """One tape, wound to its beginning."""

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    created: Key | None = None
    """The object that a client created, once it did."""
    waits_for: str = ""
    """`create` or `delete`, while no frame comes before a client does that."""
    _own: Object = field(default_factory=dict)
    _next: threading.Condition = field(default_factory=threading.Condition)
    _calls: list[str] = field(default_factory=list)
    _ends: bool = False

    def __post_init__(self) -> None:
        rows = taped(self.name)
        self.rows = sorted(rows, key=lambda row: row["at"])  # a call was written down after what it caused

    @property
    def body(self) -> Object:
        """What was created when the tape was made."""
        row = next(row for row in self.rows if str(row.get("call")).startswith("POST"))
        return copy.deepcopy(dict(row["body"]))

    @property
    def resource(self) -> Resource:
        """Where such objects lie."""
        return Resource.of(self.body)

    @property
    def victims(self) -> list[str]:
        """The pods whom the fault found, by name: of the source, in the order of the records."""
        frames = (row["frame"]["object"] for row in self.rows if row.get("watch") in ("object", "podchaos"))
        for item in frames:
            records = item.get("status", {}).get("experiment", {}).get("containerRecords") or ()
            if records:
                return [row["id"].split("/")[1] for row in records if row["selectorKey"] == "."]
        return []

    def begin(self, api: FakeKubernetes) -> None:
        """Put in what the lists said with which the watches began."""
        for row in self.rows:
            if "list" in row:
                for item in row["objects"]:
                    self._put(api, row["list"], "ADDED", item)

    @contextmanager
    def playing(self, api: FakeKubernetes, *, speed: float = 1.0) -> Iterator[None]:
        """Let the frames come in their order, so many times as fast as they did."""
        resource = Resource.of(self.body)

        def hear(request: Request) -> None:
            whole = f"{resource.plural}.{resource.group}"
            if request.resource != whole or request.verb not in ("create", "delete"):
                return
            if request.verb == "create":
                request.body["metadata"]["uid"] = self._uid()  # what the tape says owns what it owns
            with self._next:
                self._calls.append(request.verb)
                self._own = request.body if request.verb == "create" else self._own
                self._next.notify_all()

        api.on_request = hear
        player = threading.Thread(target=self._play, args=(api, speed), daemon=True)
        player.start()
        try:
            yield
        finally:
            with self._next:
                self._ends = True
                self._next.notify_all()
            player.join(10)

    def _uid(self) -> str:
        row = next(row for row in self.rows if str(row.get("call")).startswith("POST"))
        return str(row["answer"]["metadata"]["uid"])

    def _play(self, api: FakeKubernetes, speed: float) -> None:
        verbs = {"POST": "create", "DELETE": "delete"}
        last_s = self.rows[0]["at"]
        for row in self.rows:
            verb = verbs.get(str(row.get("call")).split(" ")[0])
            if verb is not None and not self._wait_for(verb):
                return
            if "frame" in row:
                with self._next:
                    if self._next.wait_for(lambda: self._ends, max(row["at"] - last_s, 0) / speed):
                        return
                self._put(api, row["watch"], row["frame"]["type"], row["frame"]["object"])
            last_s = row["at"]

    def _wait_for(self, verb: str) -> bool:
        with self._next:
            self.waits_for = verb
            self._next.wait_for(lambda: self._ends or verb in self._calls)
            self.waits_for = ""
            return not self._ends

    def _put(self, api: FakeKubernetes, watch: str, type_: str, taped: Object) -> None:
        item = copy.deepcopy(taped)
        resource = CORE.get(watch) or Resource.of(item if "kind" in item else self.body)
        item.setdefault("apiVersion", resource.api_version)
        item.setdefault("kind", resource.kind)
        mine = str(self.body["metadata"]["name"])
        if self._own:
            name = self._own["metadata"].get("name") or mine
            text = re.sub(rf'(?<=["/]){re.escape(mine)}(?=[".])', name, json.dumps(item))
            item = json.loads(text)
            if resource == Resource.of(self.body) and item["metadata"]["name"] == name:
                given = {key: self._own["metadata"].get(key) for key in ("labels", "annotations")}
                item["metadata"].update({key: value for key, value in given.items() if value})
                item["spec"] = {**item["spec"], **self._own["spec"]}
                self.created = Key(resource, item["metadata"]["namespace"], name)
        key = Key(resource, item["metadata"].get("namespace", ""), item["metadata"]["name"])
        known = key in api.store.objects
        if key != self.created and not known and type_ == "MODIFIED":
            type_ = "ADDED"  # it was there before the tape, whose list left it out
        api.store.take(key, type_, item)
