"""The proxy that reads HTTP, byte by byte: streams, pipelines, upgrades, and messages that end in other ways."""

import socket
from collections.abc import Iterator

import pytest

from tests.support.local_cluster import Helper, helper


@pytest.fixture(scope="module")
def proxy() -> Iterator[Helper]:
    with helper("proxy") as started:
        yield started


def raw(proxy: Helper, route: str) -> tuple[socket.socket, socket.socket]:
    """A client and the server behind a route of this name, over an open connection on which rules are in force."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        port = proxy.ask("add", route=route, upstream_port=listener.getsockname()[1])["port"]
        rule = {"target": "Response", "port": 8000, "path": "/ruled", "replace": {"code": 500}}
        assert "error" not in proxy.ask("rule", occurrence=f"{route}#1", routes=[route], rule=rule)
        client = socket.create_connection(("127.0.0.1", port), timeout=20)
        server, _ = listener.accept()
        server.settimeout(20)
        return client, server


def receive(sock: socket.socket, data: bytes) -> None:
    """Hear exactly these bytes."""
    heard = b""
    while len(heard) < len(data):
        more = sock.recv(len(data) - len(heard))
        assert more, f"ended after {heard!r}"
        heard += more
    assert heard == data


@pytest.mark.parametrize("path", ["/stream", "/ruled"])
def test_a_stream_goes_on_event_by_event_each_before_the_next_is_sent(proxy: Helper, path: str) -> None:
    client, server = raw(proxy, f"events {path}")
    with client, server:
        question = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        client.sendall(question)
        receive(server, question)
        head = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        server.sendall(b"HTTP/1.1 200 OK\r\n" + head)
        status = b"200 OK" if path == "/stream" else b"500 Internal Server Error"
        receive(client, b"HTTP/1.1 " + status + b"\r\n" + head)
        for number in range(50):
            event = f"data: token {number}\n\n".encode()
            piece = b"%x\r\n%s\r\n" % (len(event), event)
            server.sendall(piece)
            receive(client, piece)  # the next one is not sent before: nothing can have been collected
        server.sendall(b"0\r\n\r\n")
        receive(client, b"0\r\n\r\n")


def test_requests_that_do_not_wait_for_answers_are_answered_in_order_and_ruled_one_by_one(
    proxy: Helper,
) -> None:
    client, server = raw(proxy, "pipelined")
    with client, server:
        asked = [b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in (b"/a", b"/ruled", b"/c")]
        client.sendall(b"".join(asked))
        for question, body in zip(asked, (b"one", b"two", b"three"), strict=True):
            receive(server, question)
            server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        receive(client, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
        receive(client, b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\ntwo")
        receive(client, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthree")


def test_another_protocol_passes_as_it_is(proxy: Helper) -> None:
    client, server = raw(proxy, "upgraded")
    with client, server:
        question = b"GET /ruled HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        client.sendall(question)
        receive(server, question)
        answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello"
        server.sendall(answer)
        receive(client, answer)
        for sender, hearer in ((client, server), (server, client)):
            sender.sendall(b"GET /ruled HTTP/1.1\r\n\r\n")
            receive(hearer, b"GET /ruled HTTP/1.1\r\n\r\n")


def test_an_answer_that_ends_with_its_connection_ends_there(proxy: Helper) -> None:
    client, server = raw(proxy, "until the end")
    with client:
        question = b"GET /ruled HTTP/1.0\r\n\r\n"
        client.sendall(question)
        receive(server, question)
        server.sendall(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        server.close()
        receive(client, b"HTTP/1.0 500 Internal Server Error\r\n\r\nall of it")
        assert client.recv(1) == b""


def test_a_client_that_waits_for_leave_to_send_its_body_gets_it_where_the_body_is_to_be_patched(
    proxy: Helper,
) -> None:
    client, server = raw(proxy, "leave")
    rule = {"target": "Request", "port": 8000, "patch": {"body": '{"b": 2}'}}
    proxy.ask("rule", occurrence="leave#2", routes=["leave"], rule=rule)
    with client, server:
        head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        client.sendall(f"{head}Content-Length: 8\r\n\r\n".encode())
        receive(client, b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(b'{"a": 1}')
        receive(server, f'{head}Content-Length: 13\r\n\r\n{{"a":1,"b":2}}'.encode())
