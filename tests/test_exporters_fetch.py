"""A question to an endpoint ends, whatever the endpoint does: with a body, or with an error that has a name."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from chaos.collecting.exposition import exposition, samples
from chaos.errors import InconclusiveError
from chaos.prometheus import PrometheusClient
from exporters.cli import main
from exporters.fetch import FetchError, fetch

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """An endpoint that sends these bytes to whoever asks, again and again where that is said; returns its URL."""
    over = threading.Event()
    with ExitStack() as stack:

        def start(content: bytes, *, again: bool = False, every_s: float = 0.0) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            thread = threading.Thread(target=answer, args=[listener, content, again, every_s])
            thread.start()
            stack.callback(thread.join)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            return f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"

        def answer(listener: socket.socket, content: bytes, again: bool, every_s: float) -> None:
            with suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    with connection, suppress(OSError):
                        connection.recv(65_536)
                        connection.sendall(content)
                        while again and not over.wait(every_s):
                            connection.sendall(content if every_s == 0.0 else b"x")
                        connection.shutdown(socket.SHUT_WR)
                        while connection.recv(65_536):  # closed with something unread, it would be reset
                            pass

        yield start
        over.set()


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 5\r\n\r\nup 1\n",
        OK + b"\r\nup 1\n",
        CHUNKED + b"3\r\nup \r\n2\r\n1\n\r\n0\r\n\r\n",
    ],
    ids=["its length", "to its end", "in pieces"],
)
def test_a_whole_answer_is_its_body(serve: Serve, answer: bytes) -> None:
    assert fetch(serve(answer), 30.0) == b"up 1\n"


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (OK + b"Content-Length: 50\r\n\r\nup 1\n", "ended after 5 bytes, before it said it would"),
        (OK + b"Content-Length: 999999999999999999\r\n\r\nup 1\n", "ended after 5 bytes"),
        (CHUNKED + b"50\r\nup 1\n", "before it said it would"),
        (CHUNKED + b"fffffffffffffff\r\nup 1\n", "before it said it would"),
        (CHUNKED + b"no\r\nup 1\n", "before it said it would"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "expected HTTP, got 'SSH-2.0-OpenSSH_9.6"),
        (b"", "closed connection without response"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n", "got more than 100 headers"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\ntry later", "expected status 200, got 503 Busy: try later"),
        (b"HTTP/1.1 204 Nothing\r\n\r\n", "expected status 200, got 204 Nothing"),
        (b"HTTP/1.1 302 There\r\nLocation: ftp://127.0.0.1/x\r\nContent-Length: 0\r\n\r\n", "unknown url type: ftp"),
        (b"HTTP/1.1 302 There\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", "not allowed"),
        (OK + b"\r\n" + b"x" * 3_000_000, "expected at most 1000 bytes, got more"),
        (OK + b"Content-Length: 2000\r\n\r\n" + b"x" * 2_000, "expected at most 1000 bytes, got 2000"),
    ],
    ids=[
        "too short", "a length that is a lie", "a piece too short", "a piece that is a lie", "no pieces", "no HTTP",
        "nothing", "headers", "a refusal", "nothing in it", "elsewhere by FTP", "a file", "too much", "a bit too much",
    ],
)  # fmt: skip
def test_every_other_answer_is_an_error_with_its_reason(serve: Serve, answer: bytes, complaint: str) -> None:
    url = serve(answer)
    with pytest.raises(FetchError) as caught:
        fetch(url, 30.0, most_bytes=1_000)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith(f"{url}: expected ")
    with pytest.raises(InconclusiveError, match="no metrics at http"):
        exposition(url, 30.0) if b"x" * 1_000 not in answer else samples(url, 30.0)


@pytest.mark.parametrize("start", [b"H", OK + b"A: ", OK + b"\r\n", CHUNKED + b"f"], ids=repr)
def test_an_endpoint_that_never_ends_is_left_at_the_deadline(serve: Serve, start: bytes) -> None:
    url = serve(start, again=True, every_s=0.02)
    with pytest.raises(FetchError, match=r"expected an answer within 0\.3 s"):
        fetch(url, 0.3)


def test_an_endpoint_that_sends_without_end_is_left_at_its_size(serve: Serve) -> None:
    url = serve(OK + b"\r\n" + b"x" * 100_000, again=True)
    with pytest.raises(FetchError, match="expected at most 1000 bytes, got more"):
        fetch(url, 60.0, most_bytes=1_000)


def test_proxies_are_not_asked_for_what_is_on_this_machine(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert fetch(serve(OK + b"\r\nup 1\n"), 30.0) == b"up 1\n"


def test_samples_that_are_none_make_a_run_inconclusive_and_end_a_command(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    url = serve(OK + b"\r\n<html>\n")
    with pytest.raises(InconclusiveError, match="line 1: expected a sample of a metric, got '<html>'"):
        samples(url, 30.0)
    assert main(["coverage", url]) == 2
    assert "line 1: expected a sample" in capsys.readouterr().err
    assert main(["coverage", serve(OK + b"Content-Length: 50\r\n\r\nup 1\n")]) == 2
    assert "before it said it would" in capsys.readouterr().err


@pytest.mark.parametrize(
    "answer",
    [b"[]", b"{}", b'{"data": 3}', b'{"data": {"resultType": "vector"}}', b"[" * 100_000, b"\xff", b""],
    ids=repr,
)
def test_a_prometheus_that_says_something_else_is_inconclusive(serve: Serve, answer: bytes) -> None:
    client = PrometheusClient(serve(OK + b"\r\n" + answer).removesuffix("/metrics"), 30.0)
    with pytest.raises(InconclusiveError, match="Prometheus did not answer 'up', but something else"):
        client.instant("up", 0.0)
