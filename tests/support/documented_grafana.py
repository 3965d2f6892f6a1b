"""A stand-in for Grafana: the endpoints that pushing and annotating use, over real HTTP, as its API reference has them.

No Grafana can be installed where these tests run, so it is the reference that is tested against, not Grafana itself:
statuses, bodies and messages are those of its pages on health, folders, dashboards and annotations (version 12).
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "glsa_a-token-of-this-test"
READ_ONLY = "glsa_a-viewer-of-this-test"
Answer = tuple[int, dict[str, Any]]


@dataclass
class State:
    """What this Grafana holds."""

    version: str = "12.2.0"
    prefix: str = ""
    folders: dict[str, str] = field(default_factory=dict)
    dashboards: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By uid: what was posted, with the version counted."""
    provisioned: set[str] = field(default_factory=set)
    annotations: dict[int, dict[str, Any]] = field(default_factory=dict)
    """By id: what was posted, and patched since."""
    failing: str = ""
    """Why every write fails, where it does."""
    writes: list[str] = field(default_factory=list)
    _annotations_made: int = 0

    def get(self, path: str) -> Answer:
        match path.split("/"):
            case ["folders", uid] if uid in self.folders:
                return 200, {"uid": uid, "title": self.folders[uid]}
            case ["folders", _]:
                return 404, {"message": "folder not found", "status": "not-found"}
            case ["dashboards", "uid", uid] if uid in self.dashboards:
                meta = {"provisioned": uid in self.provisioned}
                return 200, {"dashboard": self.dashboards[uid]["dashboard"], "meta": meta}
            case ["dashboards", "uid", _]:
                return 404, {"message": "Dashboard not found"}
        return 404, {"message": "Not found"}

    def post(self, path: str, body: dict[str, Any]) -> Answer:
        self.writes.append(path)
        if self.failing:
            return 500, {"message": self.failing}
        match path:
            case "folders":
                return self._new_folder(body)
            case "dashboards/db":
                return self._new_dashboard(body)
            case "annotations":
                number = self._annotations_made = self._annotations_made + 1
                self.annotations[number] = body
                return 200, {"message": "Annotation added", "id": number}
        return 404, {"message": "Not found"}

    def patch(self, path: str, body: dict[str, Any]) -> Answer:
        found = self._annotation(path)
        if found is None:
            return 404, {"message": "Not found"}
        if self.failing:
            return 500, {"message": self.failing}
        self.annotations[found] |= body
        return 200, {"message": "Annotation patched"}

    def delete(self, path: str) -> Answer:
        found = self._annotation(path)
        if found is None:
            return 404, {"message": "Not found"}
        del self.annotations[found]
        return 200, {"message": "Annotation deleted"}

    def _annotation(self, path: str) -> int | None:
        kind, _, number = path.partition("/")
        known = kind == "annotations" and number.isdecimal() and int(number) in self.annotations
        return int(number) if known else None

    def _new_folder(self, body: dict[str, Any]) -> Answer:
        if body["uid"] in self.folders:
            return 412, {
                "message": "the folder has been changed by someone else",
                "status": "version-mismatch",
            }
        self.folders[body["uid"]] = body["title"]
        return 200, {"uid": body["uid"], "title": body["title"]}

    def _new_dashboard(self, body: dict[str, Any]) -> Answer:
        dashboard = body["dashboard"]
        there = self.dashboards.get(dashboard["uid"])
        if not dashboard.get("title"):
            return 400, {"message": "Dashboard title cannot be empty", "status": "empty-name"}
        if body.get("folderUid") not in self.folders:
            return 400, {"message": "folder not found"}
        if there is not None and not body.get("overwrite"):
            return 412, {
                "message": "The dashboard has been changed by someone else",
                "status": "version-mismatch",
            }
        version = there["dashboard"]["version"] + 1 if there else 1
        self.dashboards[dashboard["uid"]] = {**body, "dashboard": {**dashboard, "version": version}}
        return 200, {"uid": dashboard["uid"], "status": "success", "version": version}


class Handler(BaseHTTPRequestHandler):
    state: State

    def do_GET(self) -> None:
        path = self._path()
        if path == "health":  # needs no token
            self._answer(200, {"database": "ok", "version": self.state.version})
        elif self._may(TOKEN, READ_ONLY):
            self._answer(*self.state.get(path))

    def do_POST(self) -> None:
        body = self._body()
        if self._may(TOKEN):
            self._answer(*self.state.post(self._path(), body))

    def do_PATCH(self) -> None:
        body = self._body()
        if self._may(TOKEN):
            self._answer(*self.state.patch(self._path(), body))

    def do_DELETE(self) -> None:
        if self._may(TOKEN):
            self._answer(*self.state.delete(self._path()))

    def _body(self) -> dict[str, Any]:
        return dict(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _path(self) -> str:
        return self.path.removeprefix(f"{self.state.prefix}/api/")

    def _may(self, *tokens: str) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if given in tokens:
            return True
        if given == READ_ONLY:
            message = "You'll need additional permissions to perform this action."
            self._answer(403, {"title": "Access denied", "message": message})
        else:
            self._answer(401, {"message": "Invalid API key", "statusCode": 401})
        return False

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing on stderr, which is what the tests read."""


@contextmanager
def grafana(state: State) -> Iterator[str]:
    """Serve the state; the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"state": state}))
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{state.prefix}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
