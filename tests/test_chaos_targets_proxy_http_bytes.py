"""HTTP that no rule selects passes byte for byte, however it is cut into segments and whenever rules come and go."""

import asyncio
import re
from collections.abc import Callable
from random import Random
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.targets.http.effects import HttpRule, Patch, Replacement
from chaos.targets.http.rules import wildcard
from chaos.targets.local.proxy.http_rulings import Rulings
from chaos.targets.local.proxy.relay import Connection, Counters, Direction
from chaos.targets.local.proxy.shaping import Ways

OF_NOBODY = (
    HttpRule("Request", 8000, path="/nobody/*", abort=True),
    HttpRule("Request", 8000, method="BREW", delay_s=3600.0),
    HttpRule("Response", 8000, code=599, replace=Replacement(code=200, body=b"other")),
    HttpRule("Response", 8000, request_headers={"x-nobody": "1"}, patch=Patch(body="{}")),
)
TOKEN = st.text("abcXYZ019-_", min_size=1, max_size=8)
HEADERS = st.lists(
    st.tuples(st.sampled_from(["X-a", "accept", "X-B"]), st.text("ab c;=\x80é", max_size=12)), max_size=3
)


class Sink:
    """A socket's transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.ended = False

    def write(self, data: bytes) -> None:
        assert not self.ended
        self.written += data

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """There is nothing to pause."""

    def resume_reading(self) -> None:
        """There is nothing to resume."""


def lines(start: str, headers: list[tuple[str, str]]) -> bytes:
    text = "".join(f"{name}:{value.strip()}\r\n" for name, value in headers)
    return f"{start}\r\n{text}".encode()


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """The rest of a head, and a body as long as that says."""
    data = draw(st.binary(max_size=300))
    match draw(st.sampled_from(["none", "length", "chunked"])):
        case "none":
            return b"Content-Length: 0\r\n\r\n"
        case "length":
            return b"content-length:%d\r\n\r\n%s" % (len(data), data)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]
    extension = draw(st.sampled_from([b"", b";a=b"]))
    trailer = draw(st.sampled_from([b"", b"X-Trailer: t\r\n"]))
    chunks = b"".join(b"%X%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces)
    return b"Transfer-Encoding: Chunked\r\n\r\n" + chunks + b"0\r\n" + trailer + b"\r\n"


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A request and its answer."""
    method = draw(st.sampled_from(["GET", "POST", "HEAD", "PUT"]))
    target = "/" + draw(TOKEN) + draw(st.sampled_from(["", "?a=%20&b"]))
    asked = lines(f"{method} {target} HTTP/1.1", [("Host", "x"), *draw(HEADERS)]) + draw(bodies())
    status = draw(st.sampled_from([200, 204, 304, 404, 500, 503]))
    head = lines(f"HTTP/1.1 {status} {draw(TOKEN)}", draw(HEADERS))
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    bodiless = method == "HEAD" or status in (204, 304)
    rest = b"Content-Length: 7\r\n\r\n" if bodiless else draw(bodies())
    return asked, interim + head + (b"\r\n" if status == 204 else rest)


class Wire:
    """A connection through the proxy, without its sockets."""

    def __init__(self, rng: Random, rulings: Rulings) -> None:
        self.rulings = rulings
        self._rng = rng
        self.client, self.replica = Sink(), Sink()
        self.connection = Connection(("", 0), Counters(), Ways(), rulings.joined, rulings.lost)
        ways = Ways()
        client, replica = cast("asyncio.Transport", self.client), cast("asyncio.Transport", self.replica)
        up = Direction(client, replica, lambda _: None, ways.up)
        down = Direction(replica, client, lambda _: None, ways.down)
        up.back, down.back = down, up
        ends = self.connection.client, self.connection.replica
        self.connection.directions = (up, down)
        ends[0].transport, ends[1].transport = client, replica
        ends[0].outgoing = ends[1].incoming = up
        ends[0].incoming = ends[1].outgoing = down

    def send(self, end: Any, data: bytes, between: Callable[[], None]) -> None:
        """Have an end hear bytes in segments of any size, and something happen between them."""
        while data:
            size = self._rng.choice((1, 2, 3, 10, 100, 1000))
            end.data_received(data[:size])
            data = data[size:]
            between()


def come_and_go(wire: Wire, rng: Random) -> Callable[[], None]:
    """Rules that come and go at random."""

    def happen() -> None:
        name = f"rule#{rng.randrange(3)}"
        if rng.random() < 0.1:
            wire.rulings.add(name, rng.choice(OF_NOBODY), [wire.connection])
        elif rng.random() < 0.1:
            wire.rulings.remove(name)

    return happen


@settings(max_examples=400, deadline=None)
@given(
    talk=st.lists(exchanges(), max_size=5),
    seed=st.integers(0, 2**32),
    new=st.booleans(),
    changing=st.booleans(),
    pipelined=st.booleans(),
    garbage=st.binary(max_size=40),
)
def test_no_byte_is_changed_lost_or_reordered(
    talk: list[tuple[bytes, bytes]], seed: int, new: bool, changing: bool, pipelined: bool, garbage: bytes
) -> None:
    async def play() -> None:
        rng, rulings = Random(seed), Rulings()
        wire = Wire(rng, rulings)
        for number, rule in enumerate(OF_NOBODY):
            rulings.add(f"rule#{number}", rule, [] if new else [wire.connection])
        if new:
            rulings.joined(wire.connection)
        between = come_and_go(wire, rng) if changing else lambda: None
        asked, answered = b"", b""
        ahead = pipelined and new  # of an open connection nobody knows how many answers are to come
        if ahead:
            asked = b"".join(question for question, _ in talk)
            wire.send(wire.connection.client, asked, between)
        if ahead:
            answered = b"".join(answer for _, answer in talk)
            wire.send(wire.connection.replica, answered, between)
        for question, answer in () if ahead else talk:
            asked += question
            wire.send(wire.connection.client, question, between)
            assert wire.replica.written == asked, "the whole request has gone on before its answer comes"
            answered += answer
            wire.send(wire.connection.replica, answer, between)
            assert wire.client.written == answered
        assert wire.client.written == answered
        assert wire.replica.written == asked
        wire.send(wire.connection.client, garbage, between)
        wire.send(wire.connection.replica, garbage, between)
        wire.connection.client.eof_received()
        wire.connection.replica.eof_received()
        assert (wire.replica.written, wire.replica.ended) == (asked + garbage, True)
        assert (wire.client.written, wire.client.ended) == (answered + garbage, True)

    asyncio.run(play())


@settings(max_examples=200, deadline=None)
@given(up=st.binary(max_size=200), down=st.binary(max_size=200), seed=st.integers(0, 2**32))
def test_what_is_no_http_passes_too(up: bytes, down: bytes, seed: int) -> None:
    async def play() -> None:
        rng, rulings = Random(seed), Rulings()
        wire = Wire(rng, rulings)
        rulings.add("rule#0", OF_NOBODY[0], [])
        rulings.joined(wire.connection)
        wire.send(wire.connection.client, up, come_and_go(wire, rng))
        wire.send(wire.connection.replica, down, come_and_go(wire, rng))
        wire.connection.client.eof_received()
        wire.connection.replica.eof_received()
        assert (wire.replica.written, wire.replica.ended) == (up, True)
        assert (wire.client.written, wire.client.ended) == (down, True)

    asyncio.run(play())


@given(pattern=st.text("ab*?", max_size=8), path=st.text("ab", max_size=8))
def test_a_wildcard_matches_what_it_says(pattern: str, path: str) -> None:
    naive = "".join({"*": ".*", "?": "."}.get(each, each) for each in pattern)
    assert bool(wildcard(pattern).fullmatch(path)) == bool(re.fullmatch(naive, path))


def test_no_wildcard_takes_long() -> None:
    assert not wildcard("*a" * 30 + "b").fullmatch("a" * 100_000)
