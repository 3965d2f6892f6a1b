"""A Kubernetes API server, small enough for a test and on real sockets: what is asked of it is asked by real clients.

    with FakeKubernetes(tmp_path) as api:
        api.add_pod("server-0", labels={"app": "server"})
        client = ...(kubeconfig=api.kubeconfig)
        api.failures.append(Failure(429, method="POST", path="podchaos", times=2, retry_after_s=1))

It knows create, get, list, watch, merge patch, PUT and delete of whatever has a path of the usual shape. Nobody else
lives in it: what Chaos Mesh would do is `chaos_mesh.py` beside it, what a live one did plays `kubernetes_tape.py`.
"""

import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import yaml

from tests.support.kubernetes_store import (
    CLUSTER_WIDE,
    Key,
    Object,
    RefusalError,
    Resource,
    Store,
    matches,
)

TOKEN = "of-the-test"
NAMESPACE = "inference"
CHAOS = ("chaos-mesh.org", "v1alpha1")
WEBHOOK_DOWN = (
    'Internal error occurred: failed calling webhook "m{plural}.kb.io": failed to call webhook: Post '
    '"https://chaos-mesh-controller-manager.chaos-mesh.svc:443/mutate": dial tcp 10.96.35.242:443: '
    "connect: connection refused"
)
_PATH = re.compile(
    r"^/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/[a-z]))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>.+))?$"
)
_SEND_EVERY_S = 0.05
_PATCHES = ("application/merge-patch+json", "application/strategic-merge-patch+json")
"""Both are merged alike here: nothing that tests patch has a list that would make a difference."""


@dataclass
class Failure:
    """What is answered instead, to so many requests that match."""

    status: int
    method: str = ".*"
    """Regular expressions, of the method and anywhere in path and query."""
    path: str = ""
    times: float = 1
    """How often; `math.inf` until it is taken off the list."""
    retry_after_s: int | None = None
    message: str = "scripted by the test"
    reason: str = "Scripted"
    too_late: bool = False
    """Whether the server does what was asked, and only its answer says otherwise."""

    def hits(self, method: str, path: str) -> bool:
        return self.times > 0 and bool(re.fullmatch(self.method, method) and re.search(self.path, path))


@dataclass(frozen=True)
class Request:
    """One question that was asked."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    verb: str
    """As RBAC says it: get, list, watch, create, patch, update, delete."""
    resource: str
    """`podchaos.chaos-mesh.org`, `pods`, `pods/log`."""


@dataclass(frozen=True)
class _Asked:
    """A question, taken apart."""

    resource: Resource
    namespace: str
    name: str
    part: str
    verb: str

    @property
    def key(self) -> Key:
        return Key(self.resource, self.namespace, self.name)

    @property
    def in_words(self) -> str:
        whole = ".".join(filter(None, (self.resource.plural, self.resource.group)))
        return f"{whole}/{self.part.partition('/')[0]}" if self.part else whole


@dataclass
class FakeKubernetes:
    """The server, its store, and its switches; all of them may be thrown while clients are connected."""

    folder: Path
    """Where its kubeconfig lies."""
    store: Store = field(default_factory=Store)
    failures: list[Failure] = field(default_factory=list)
    webhook_down: bool = False
    """Whether everything that a webhook of Chaos Mesh must see ends in a 500; a delete needs none."""
    rights: set[tuple[str, str]] | None = None
    """(verb, resource) that the client has; None for all of them."""
    requests: list[Request] = field(default_factory=list)
    on_request: Callable[[Request], object] = lambda _: None
    """Called before a request takes effect; what it raises is answered."""
    through: Callable[[str, str], tuple[int, str]] = lambda _pod, _path: (200, "ok")
    """What a pod answers to a request that is handed on to it, by its name and the path."""
    groups: tuple[str, ...] = (
        *("podchaos", "networkchaos", "stresschaos", "httpchaos"),
        *("podnetworkchaos", "podhttpchaos"),
    )
    """What there is of Chaos Mesh; without any the whole group is unknown."""
    _silent: threading.Event = field(default_factory=threading.Event)
    _streams: set[socket.socket] = field(default_factory=set)
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.store.create(Resource("", "v1", "namespaces"), "", {"metadata": {"name": NAMESPACE}})
        self.kubeconfig.write_text(yaml.safe_dump(self._config()))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._silent.clear()
        self._server.shutdown()
        self._server.server_close()
        self.cut()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def kubeconfig(self) -> Path:
        """With the contexts `fake` (current) and `other`, both of this server."""
        return self.folder / "kubeconfig.yaml"

    def add(self, item: Object, namespace: str = NAMESPACE) -> Object:
        """Put in any object that says its apiVersion and kind."""
        resource = Resource.of(item)
        return self.store.create(resource, "" if resource.plural in CLUSTER_WIDE else namespace, item)

    def add_pod(self, name: str, *, labels: Mapping[str, str] | None = None, **metadata: Any) -> Object:
        """A pod that runs and is ready."""
        return self.add(pod(name, labels=labels, **metadata))

    def key(self, plural: str, name: str, namespace: str = NAMESPACE) -> Key:
        """Where an object of that collection lies, whatever its group."""
        resources = {key.resource for key in self.store.objects if key.resource.plural == plural}
        resource = resources.pop() if resources else Resource(*CHAOS, plural)
        return Key(resource, "" if plural in CLUSTER_WIDE else namespace, name)

    def names(self, plural: str) -> list[str]:
        """Of all objects of a collection."""
        return sorted(item["metadata"]["name"] for item in self.store.find(plural))

    def silence(self) -> None:
        """From now on nothing is answered, and open watches say nothing; connections are accepted."""
        self._silent.set()

    def speak(self) -> None:
        """End the silence: what was asked meanwhile is done."""
        self._silent.clear()

    def cut(self) -> None:
        """End every open watch with a reset, in the middle of a line for all that its reader knows."""
        with self.store.changed:
            streams, self._streams = self._streams, set()
        for stream in streams:
            with suppress(OSError):
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                stream.shutdown(socket.SHUT_RDWR)

    @property
    def watches(self) -> int:
        """How many are open."""
        return len(self._streams)

    def _config(self) -> Object:
        contexts = [
            {"name": name, "context": {"cluster": "fake", "user": "test", "namespace": NAMESPACE}}
            for name in ("fake", "other")
        ]
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
            "contexts": contexts,
        }


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes is no news."""


class _Handler(BaseHTTPRequestHandler):
    api: FakeKubernetes
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing: `requests` has them."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self._quiet()
        query = dict(parse_qsl(urlsplit(self.path).query))
        if (told := self._of_itself(urlsplit(self.path).path)) is not None:
            self._say(200, told)
            return
        try:
            asked = self._asked(query)
            request = Request(
                self.command,
                urlsplit(self.path).path,
                query,
                json.loads(body or b"null"),
                asked.verb,
                asked.in_words,
            )
            self._admit(request, asked)
            if asked.verb == "watch":
                self._watch(asked, query)
            elif asked.part.startswith("proxy"):
                status, text = self.api.through(
                    asked.name.partition(":")[0], asked.part.removeprefix("proxy")
                )
                self._say(status, {"text": text})
            else:
                self._say(201 if asked.verb == "create" else 200, self._answer(asked, request))
        except RefusalError as refusal:
            self._say(refusal.status, refusal.body, getattr(refusal, "retry_after_s", None))
        finally:
            with self.api.store.changed:
                self.api._streams.discard(self.connection)

    def _quiet(self) -> None:
        while self.api._silent.is_set():
            time.sleep(_SEND_EVERY_S)

    def _of_itself(self, path: str) -> Object | None:
        """What the server says of itself, whoever asks."""
        if path == "/version":
            return {"gitVersion": "v1.36.3"}
        if path == f"/apis/{'/'.join(CHAOS)}" and self.api.groups:
            return {"kind": "APIResourceList", "resources": [{"name": name} for name in self.api.groups]}
        return None

    def _asked(self, query: Mapping[str, str]) -> _Asked:
        found = _PATH.match(urlsplit(self.path).path)
        if found is None:
            raise RefusalError(404, "NotFound", "the server could not find the requested resource")
        part = found.groupdict()
        resource = Resource(part["group"] or "", part["core"] or part["version"], part["plural"])
        name = part["name"] or ""
        verb = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete", "GET": "get"}[
            self.command
        ]
        if verb == "get" and not name:
            verb = "watch" if query.get("watch") in ("1", "true", "True") else "list"
        return _Asked(resource, part["namespace"] or "", name, part["part"] or "", verb)

    def _admit(self, request: Request, asked: _Asked) -> None:
        api = self.api
        with api.store.changed:
            api.requests.append(request)
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            raise RefusalError(401, "Unauthorized", "Unauthorized")
        if api.rights is not None and (asked.verb, asked.in_words) not in api.rights:
            what = f'cannot {asked.verb} resource "{asked.in_words}" in the namespace "{asked.namespace}"'
            raise RefusalError(403, "Forbidden", f'{asked.resource.plural} is forbidden: User "test" {what}')
        self._fail(request, asked)
        content = self.headers.get("content-type")
        if asked.verb == "patch" and content not in _PATCHES:
            raise RefusalError(
                415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {content}"
            )
        changes = asked.verb in ("create", "patch", "update")
        if api.webhook_down and changes and asked.resource.group == CHAOS[0]:
            raise RefusalError(500, "InternalError", WEBHOOK_DOWN.format(plural=asked.resource.plural))
        api.on_request(request)

    def _fail(self, request: Request, asked: _Asked) -> None:
        with self.api.store.changed:
            hits = (each for each in self.api.failures if each.hits(request.method, self.path))
            failure = next(hits, None)
            if failure is None:
                if (
                    asked.verb == "watch"
                ):  # from here on `cut` ends it, or a failure meets the next: none slips through
                    self.api._streams.add(self.connection)
                return
            failure.times -= 1
        if failure.too_late:
            self._answer(asked, request)
        refusal = RefusalError(failure.status, failure.reason, failure.message)
        refusal.__dict__["retry_after_s"] = failure.retry_after_s
        raise refusal

    def _answer(self, asked: _Asked, request: Request) -> Object:
        store, dry_run = self.api.store, request.query.get("dryRun") == "All"
        match asked.verb:
            case "get":
                return store.get(asked.key)
            case "list":
                return self._list(asked, request.query)
            case "create":
                return store.create(asked.resource, asked.namespace, request.body, dry_run=dry_run)
            case "patch":
                return store.patch(asked.key, request.body, dry_run=dry_run)
            case "update":
                return store.replace(asked.key, request.body)
            case _:
                return store.delete(asked.key, request.body)

    def _list(self, asked: _Asked, query: Mapping[str, str]) -> Object:
        store = self.api.store
        with store.changed:
            items = [
                {
                    name: value
                    for name, value in item.items()
                    if name not in ("apiVersion", "kind") or asked.resource.group
                }
                for key, item in store.objects.items()
                if _concerns(asked, query, key, item)
            ]
            return {
                "apiVersion": asked.resource.api_version,
                "kind": f"{asked.resource.kind}List",
                "metadata": {"resourceVersion": str(store.version)},
                "items": json.loads(json.dumps(items)),
            }

    def _watch(self, asked: _Asked, query: Mapping[str, str]) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        with suppress(OSError):
            self.end_headers()
            for frame in self._frames(asked, query):
                line = json.dumps(frame).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

    def _frames(self, asked: _Asked, query: Mapping[str, str]) -> Iterator[Object]:
        store = self.api.store
        ends_s = time.monotonic() + float(query.get("timeoutSeconds") or 3600)
        seen = int(query.get("resourceVersion") or store.version)
        while time.monotonic() < ends_s and self.connection in self.api._streams:
            self._quiet()
            with store.changed:
                if seen < store.oldest:
                    gone = RefusalError(410, "Expired", f"too old resource version: {seen} ({store.oldest})")
                    yield {"type": "ERROR", "object": gone.body}
                    return
                news = [frame for frame in store.frames if frame.version > seen]
                if not news:
                    store.changed.wait(_SEND_EVERY_S)
                seen = store.version if news else seen
            for frame in news:
                if _concerns(asked, query, frame.key, frame.object):
                    yield {"type": frame.type, "object": frame.object}

    def _say(self, status: int, body: Object, retry_after_s: int | None = None) -> None:
        text = json.dumps(body).encode()
        with suppress(OSError):
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            if retry_after_s is not None:
                self.send_header("retry-after", str(retry_after_s))
            self.end_headers()
            self.wfile.write(text)


def _concerns(asked: _Asked, query: Mapping[str, str], key: Key, item: Object) -> bool:
    if key.resource != asked.resource or asked.namespace not in ("", key.namespace):
        return False
    return matches(item, query.get("labelSelector", ""), query.get("fieldSelector", ""))


def pod(
    name: str, *, labels: Mapping[str, str] | None = None, node: str = "knode", **metadata: Any
) -> Object:
    """A pod that runs and is ready."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": dict(labels or {"app": "reference-server"}), **metadata},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Always",
            "containers": [{"name": "server", "image": "x"}],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.244.0.9",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {
                    "name": "server",
                    "ready": True,
                    "restartCount": 0,
                    "image": "x",
                    "imageID": "sha256:x",
                    "started": True,
                }
            ],
        },
    }
