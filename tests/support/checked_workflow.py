"""Workflows with StatusChecks and experiments of them, and a server whose statuses are scripted."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

DELAY = {"action": "delay", "mode": "one", "selector": {"labelSelectors": {"app": "reference-server"}}}


@dataclass
class Statuses:
    """Answers with these statuses, one after another, the last one for ever; slow: with none in time."""

    statuses: list[int]
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    hangs: threading.Event = field(default_factory=threading.Event)


@contextmanager
def answering(*statuses: int) -> Iterator[tuple[str, Statuses]]:
    """A real server of its own; 0 is no answer at all."""
    script = Statuses([*statuses])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            script.asked.append((self.command, self.headers.get("X-Team", ""), body))
            status = script.statuses.pop(0) if len(script.statuses) > 1 else script.statuses[0]
            if status == 0:
                script.hangs.wait(30)
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/healthz", script
    finally:
        script.hangs.set()
        server.shutdown()
        thread.join()
        server.server_close()


def template(name: str, deadline: str) -> dict[str, Any]:
    delays = {**DELAY, "delay": {"latency": "100ms"}}
    return {"name": name, "templateType": "NetworkChaos", "deadline": deadline, "networkChaos": delays}


def check(name: str, url: str, deadline: str | None = "6s", **changes: Any) -> dict[str, Any]:
    aborts = changes.pop("aborts", False)
    asked = {
        "mode": "Synchronous",
        "type": "HTTP",
        "intervalSeconds": 1,
        "failureThreshold": 2,
        "http": {"url": url, "criteria": {"statusCode": "200"}},
        **changes,
    }
    ends = {} if deadline is None else {"deadline": deadline}
    return {
        "name": name,
        "templateType": "StatusCheck",
        "statusCheck": asked,
        "abortWithStatusCheck": aborts,
        **ends,
    }


def of(kind: str, name: str, *children: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "templateType": kind, "children": [*children], **more}


def experiment(folder: Path, *templates: dict[str, Any], **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    manifest = {
        "apiVersion": "chaos-mesh.org/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "drill", "namespace": "inference"},
        "spec": {"entry": templates[0]["name"], "templates": [*templates]},
    }
    (folder / "drill.yaml").write_text(json.dumps(manifest))
    values = {
        "experiment": "small",
        "hypothesis": "It holds.",
        "seed": 3,
        "target": {"local": {"replicas": 2}},
        "load": {"rate": 40, "arrivals": "constant", "timeouts": {"ttft": "2s", "deadline": "4s"}},
        "phases": {"warmup": "500ms", "baseline": "3s", "observe": "16s"},
        "fault": {"manifest": "drill.yaml", "max_targets": 1},
        "slo": {"ttft": "1500ms", "e2e": "2500ms"},
        "recovery": {"window": "1s", "hold": "2s", "within": "3s"},
        "assertions": ["lost_requests <= 400"],
        **changes,
    }
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(values))
    return path
