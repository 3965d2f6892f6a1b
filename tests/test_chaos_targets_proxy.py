import asyncio
import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Eventually
from tests.support.local_cluster import Helper, helper, request, toys

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def proxy() -> Iterator[Helper]:
    with helper("proxy") as started:
        yield started


@pytest.fixture(scope="module")
def echo_port() -> Iterator[int]:
    """A server that sends back every byte as it comes, and ends when the client ends."""
    loop = asyncio.new_event_loop()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = loop.run_until_complete(asyncio.start_server(echo, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def echo_route(proxy: Helper, echo_port: int) -> int:
    return int(proxy.ask("add", route="echo", upstream_port=echo_port)["port"])


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield listener


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def joined(proxy: Helper, upstream: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Both ends of one connection through a fresh route named after the upstream's port."""
    number = upstream.getsockname()[1]
    client = connect(proxy.ask("add", route=str(number), upstream_port=number)["port"])
    server, _ = upstream.accept()
    server.settimeout(10)
    return client, server


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def send_reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@settings(max_examples=25, deadline=None)
@given(chunks=st.lists(st.binary(min_size=1, max_size=200_000), min_size=1, max_size=5))
def test_every_byte_comes_back_as_it_was_sent(echo_route: int, chunks: list[bytes]) -> None:
    with connect(echo_route) as client:

        def send() -> None:
            for chunk in chunks:
                client.sendall(chunk)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert read_all(client) == b"".join(chunks)
        sender.join()


def test_200_streams_at_once_keep_their_bytes_apart(echo_route: int, proxy: Helper) -> None:
    async def stream(seed: int) -> bool:
        payload = random.Random(seed).randbytes(20_000)
        reader, writer = await asyncio.open_connection("127.0.0.1", echo_route)
        for start in range(0, len(payload), 1000):
            writer.write(payload[start : start + 1000])
            await asyncio.sleep(0)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer == payload

    async def all_streams() -> list[bool]:
        return await asyncio.gather(*(stream(seed) for seed in range(200)))

    before = proxy.ask("counters")["routes"]["echo"]
    assert all(asyncio.run(all_streams()))
    after = proxy.ask("counters")["routes"]["echo"]
    assert after["connections"] - before["connections"] == 200
    assert (
        after["up_bytes"] - before["up_bytes"] == after["down_bytes"] - before["down_bytes"] == 200 * 20_000
    )


def test_closed_connections_are_no_longer_counted_as_open(
    echo_route: int, proxy: Helper, eventually: Eventually
) -> None:
    with connect(echo_route) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert proxy.ask("counters")["routes"]["echo"]["open"] >= 1
    eventually(lambda: proxy.ask("counters")["routes"]["echo"]["open"] == 0, within_s=30)


def test_a_client_that_has_finished_sending_still_gets_its_answer(
    proxy: Helper, upstream: socket.socket
) -> None:
    client, server = joined(proxy, upstream)
    with client, server:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert read_all(server) == b"question"
        server.sendall(b"answer")
        server.close()
        assert read_all(client) == b"answer"


def test_a_server_that_has_finished_sending_can_still_be_sent_to(
    proxy: Helper, upstream: socket.socket
) -> None:
    client, server = joined(proxy, upstream)
    with client, server:
        server.sendall(b"greeting")
        server.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"greeting"
        client.sendall(b"still here")
        client.close()
        assert read_all(server) == b"still here"


def test_a_receiver_that_does_not_read_stops_the_sender_and_costs_no_memory(
    proxy: Helper, upstream: socket.socket
) -> None:
    rss = psutil.Process(proxy.process.pid).memory_info
    client, server = joined(proxy, upstream)
    block, sent, before = os.urandom(MIB), 0, rss().rss
    with client, server:
        client.settimeout(0.5)
        with suppress(TimeoutError):
            while sent < 256 * MIB:
                sent += client.send(block)
        assert sent < 64 * MIB
        assert rss().rss - before < 8 * MIB
        client.settimeout(10)
        client.shutdown(socket.SHUT_WR)
        assert len(read_all(server)) == sent


def test_a_reset_by_the_replica_reaches_the_client_as_a_reset(proxy: Helper, upstream: socket.socket) -> None:
    client, server = joined(proxy, upstream)
    with client:
        send_reset(server)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_a_reset_by_the_client_reaches_the_replica_as_a_reset(proxy: Helper, upstream: socket.socket) -> None:
    client, server = joined(proxy, upstream)
    with server:
        send_reset(client)
        with pytest.raises(ConnectionResetError):
            server.recv(1)


def test_a_connection_to_a_dead_replica_is_reset(proxy: Helper, free_port: int) -> None:
    port = proxy.ask("add", route="dead", upstream_port=free_port)["port"]
    with pytest.raises(ConnectionResetError), connect(port) as client:
        client.recv(1)


def test_a_route_moves_new_connections_and_leaves_the_old_alone(
    proxy: Helper, upstream: socket.socket, echo_port: int
) -> None:
    client, server = joined(proxy, upstream)
    with client, server:
        proxy.ask("move", route=str(upstream.getsockname()[1]), upstream_port=echo_port)
        with connect(client.getpeername()[1]) as newer:
            newer.sendall(b"echoed")
            assert newer.recv(6) == b"echoed"
        server.sendall(b"old")
        assert client.recv(3) == b"old"


def test_the_order_to_reset_breaks_open_connections_and_keeps_the_listener(
    proxy: Helper, upstream: socket.socket
) -> None:
    client, server = joined(proxy, upstream)
    with client, server:
        port = client.getpeername()[1]
        proxy.ask("reset", route=str(upstream.getsockname()[1]))
        for end in (client, server):
            with pytest.raises(ConnectionResetError):
                end.recv(1)
        with connect(port), upstream.accept()[0]:
            pass


def test_a_removed_route_resets_its_connections_and_refuses_new_ones(
    proxy: Helper, upstream: socket.socket
) -> None:
    client, server = joined(proxy, upstream)
    with client, server:
        port = client.getpeername()[1]
        proxy.ask("remove", route=str(upstream.getsockname()[1]))
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionRefusedError):
            connect(port)


def test_a_killed_replica_never_leaves_its_client_waiting(proxy: Helper) -> None:
    with toys(1, "--gap-s", "0.01") as (toy,):
        port = proxy.ask("add", route="killed", upstream_port=toy.port)["port"]
        with connect(port) as client:
            body = b'{"stream": true, "max_tokens": 100000}'
            client.sendall(
                b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            assert client.recv(1)
            toy.process.kill()
            with suppress(ConnectionResetError):
                assert not read_all(client).endswith(b"0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            request(port, "GET", "/healthz")


def test_an_order_about_an_unknown_route_is_an_error_and_not_the_end(proxy: Helper) -> None:
    assert "nobody" in proxy.ask("reset", route="nobody")["error"]
    assert "routes" in proxy.ask("counters")


def test_the_proxy_ends_when_nobody_gives_orders_any_more() -> None:
    assert Helper("proxy").close() == 0
