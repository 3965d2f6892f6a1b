"""Fault windows as annotations: asked for before a run, opened and closed while it goes on, never in its way."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from chaos.cli import main
from chaos.errors import ExitCode, InputError
from chaos.publishing.annotations import GrafanaAnnotations
from tests.conftest import Eventually
from tests.support.documented_grafana import READ_ONLY, TOKEN, State, grafana

EXPERIMENT = str(Path(__file__).parents[1] / "chaos" / "experiments" / "pod-kill-30.yaml")


@pytest.fixture
def state() -> State:
    return State(prefix="/grafana")


@pytest.fixture
def url(state: State) -> Iterator[str]:
    with grafana(state) as served:
        yield served


def test_a_fault_is_a_region_with_its_tags_open_at_injection_and_closed_at_its_end(
    state: State, url: str, eventually: Eventually
) -> None:
    with GrafanaAnnotations(f"{url}/", TOKEN, "small") as annotations:
        annotations.fault_began("kill-one#1", "kill-one", "PodChaos/pod-kill", ["a", "b"], 1_700_000_000.25)
        eventually(lambda: state.annotations, within_s=30)
        assert state.annotations == {
            1: {
                "time": 1_700_000_000_250,
                "tags": ["aftershock", "small", "kill-one", "PodChaos/pod-kill"],
                "text": "small: kill-one#1 (PodChaos/pod-kill) on a, b",
            }
        }
        annotations.fault_ended("kill-one#1", 1_700_000_004.5)
        annotations.fault_ended("kill-one#1", 1_700_000_009.0)
    assert state.annotations[1]["timeEnd"] == 1_700_000_004_500
    assert state.annotations[1]["tags"] == ["aftershock", "small", "kill-one", "PodChaos/pod-kill"]


def test_access_is_proved_by_a_write_that_leaves_nothing(state: State, url: str) -> None:
    GrafanaAnnotations(url, TOKEN, "small").require_access(time.time())
    assert (state.writes, state.annotations) == (["annotations"], {})


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (READ_ONLY, "does not let this token write annotations"),
        ("glsa_unknown", "does not take this token"),
    ],
)
def test_a_token_that_may_not_write_is_refused_before_the_run(
    state: State, url: str, token: str, words: str
) -> None:
    with pytest.raises(InputError, match=words) as refused:
        GrafanaAnnotations(url, token, "small").require_access(time.time())
    assert "GRAFANA_TOKEN" in (refused.value.hint or "")
    assert state.annotations == {}


@pytest.mark.parametrize(
    "url",
    ["localhost:3000", "ftp://localhost", "http://", "http://localhost:3000/?orgId=1"],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="expected the URL of a Grafana"):
        GrafanaAnnotations(url, TOKEN, "small")


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "schlüssel"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(InputError, match="GRAFANA_TOKEN") as refused:
        GrafanaAnnotations("http://127.0.0.1", token, "small")
    assert not token or token not in str(refused.value)


@pytest.mark.parametrize(
    ("body", "status", "location", "words"),
    [
        ("<html>login</html>", 200, None, "is no Grafana"),
        ('{"message": "ok"}', 200, None, "an annotation without an id"),
        ("", 302, "/login", "redirects to /login"),
        ('{"message": "database is locked"}', 500, None, "answered 500 database is locked"),
        ("[]", 502, None, "answered 502 Bad Gateway"),
    ],
)
def test_whatever_else_answers_there_is_named(
    body: str, status: int, location: str | None, words: str
) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    try:
        with pytest.raises(InputError, match=words):
            GrafanaAnnotations(f"http://127.0.0.1:{server.server_port}", TOKEN, "x").require_access(0.0)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_grafana_that_fails_during_the_run_is_one_warning_per_fault_and_nothing_else(
    state: State, url: str
) -> None:
    warnings: list[str] = []
    with GrafanaAnnotations(url, TOKEN, "small") as annotations:
        annotations.warn_with(warnings.append)
        state.failing = "database is locked"
        annotations.fault_began("kill-one#1", "kill-one", "PodChaos/pod-kill", ["a"], 1.0)
        annotations.fault_ended("kill-one#1", 2.0)
    said = f"Grafana at {url} answered 500 database is locked (annotations)"
    assert warnings == [f"Grafana was not told of a fault: {said}"]


def test_a_grafana_that_is_gone_when_the_fault_ends_is_a_warning(
    state: State, eventually: Eventually
) -> None:
    warnings: list[str] = []
    with grafana(state) as url:
        annotations = GrafanaAnnotations(url, TOKEN, "small")
        annotations.warn_with(warnings.append)
        annotations.fault_began("kill-one#1", "kill-one", "PodChaos/pod-kill", ["a"], 1.0)
        eventually(lambda: state.annotations, within_s=30)
    with annotations:
        annotations.fault_ended("kill-one#1", 2.0)
    assert len(warnings) == 1
    assert "cannot be reached" in warnings[0]


def test_an_answer_that_is_no_http_is_a_warning_too() -> None:
    warnings: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answering = threading.Thread(
            target=answer_with, args=[listener, b"\x00\x01 nothing of the kind\r\n\r\n"]
        )
        answering.start()
        port = listener.getsockname()[1]
        with GrafanaAnnotations(f"http://127.0.0.1:{port}", TOKEN, "small") as annotations:
            annotations.warn_with(warnings.append)
            annotations.fault_began("kill-one#1", "kill-one", "PodChaos/pod-kill", ["a"], 1.0)
        answering.join()
    assert len(warnings) == 1
    assert warnings[0].startswith("Grafana was not told of a fault: ")


def answer_with(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


def test_without_grafanas_client_a_run_is_refused_and_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "grafana_client.api", None)
    with pytest.raises(InputError, match="grafana-client, which is not installed") as refused:
        GrafanaAnnotations("http://127.0.0.1", TOKEN, "small")
    assert "pip install grafana-client" in (refused.value.hint or "")


def test_a_redirect_is_not_followed_and_no_token_goes_where_it_leads() -> None:
    asked: list[str] = []

    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.path)
            self.send_response(307 if len(asked) == 1 else 200)
            self.send_header("Location", "/elsewhere/api/annotations")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Redirecting)
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(InputError, match="redirects to /elsewhere/api/annotations: give the URL"):
            GrafanaAnnotations(url, TOKEN, "x").require_access(0.0)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert asked == ["/api/annotations"]


def test_telling_of_a_fault_waits_for_nobody(state: State) -> None:
    class Hanging(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            released.wait(60)

    released = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hanging)
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    try:
        with GrafanaAnnotations(f"http://127.0.0.1:{server.server_port}", TOKEN, "small") as annotations:
            began_s = time.monotonic()
            annotations.fault_began("kill-one#1", "kill-one", "PodChaos/pod-kill", ["a"], 1.0)
            annotations.fault_ended("kill-one#1", 2.0)
            assert time.monotonic() - began_s < 10, "less than the server hangs"
            released.set()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_run_refuses_a_grafana_that_it_cannot_use_and_makes_no_folder(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["run", EXPERIMENT, "--out", str(out), "--grafana", f"http://127.0.0.1:{free_port}"]
    monkeypatch.delenv("GRAFANA_TOKEN", raising=False)
    assert main(command) == ExitCode.WRONG_INPUT
    assert "environment variable GRAFANA_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    assert main(command) == ExitCode.WRONG_INPUT
    said = capsys.readouterr().err
    assert "cannot be reached" in said
    assert TOKEN not in said
    assert not out.exists()
