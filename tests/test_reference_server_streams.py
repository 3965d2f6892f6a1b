"""Who writes a stream's bytes, and that none overtakes another: real sockets, a scripted engine on its own thread."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import cast

import psutil
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reference_server.api.errors import unavailable
from reference_server.api.generation import Generation
from reference_server.api.openai_answers import COMPLETION, Answer
from reference_server.api.routes import streamed
from reference_server.engine import Engine
from reference_server.instrumentation import Uninstrumented
from reference_server.sampler import Sampling
from reference_server.sequence import Output, TokenSequence
from reference_server.server import hand_over
from tests.conftest import Eventually

REQUEST = b"POST /v1/completions HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"
SMALL_BUFFER = 4096


@dataclass
class Scripted:
    """An engine that says what a test tells it to, on the test's thread."""

    loop: asyncio.AbstractEventLoop
    sequence: TokenSequence | None = None
    generation: Generation | None = None
    aborted: bool = False
    submitted: threading.Event = field(default_factory=threading.Event)

    def submit(self, sequence: TokenSequence) -> None:
        self.sequence = sequence
        self.submitted.set()

    def abort(self, _: TokenSequence) -> None:
        self.aborted = True

    def say(self, *texts: str, finish_reason: str | None = None) -> None:
        """One step for each of the texts; the reason comes with the last."""
        assert self.submitted.wait(30)
        assert self.sequence is not None
        for text in texts[:-1]:
            hand_over([(self.sequence, Output(text))], self.loop)
        hand_over([(self.sequence, Output(texts[-1], finish_reason))], self.loop)

    def fail(self) -> None:
        assert self.generation is not None
        self.loop.call_soon_threadsafe(self.generation.fail, unavailable("it is told to"))

    @contextmanager
    def busy_loop(self) -> Iterator[None]:
        """The loop does nothing from when it comes to this until the end of the block."""
        over = threading.Event()
        self.loop.call_soon_threadsafe(over.wait, 30)
        try:
            yield
        finally:
            over.set()

    def settle(self) -> None:
        """Wait until the loop has done what it was told by now."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(done.set)
        assert done.wait(30)


@contextmanager
def engine_behind() -> Iterator[tuple[Scripted, tuple[str, int]]]:
    """An API of one route before a scripted engine, for one request, and its address."""
    loop = asyncio.new_event_loop()
    engine = Scripted(loop)

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER
        )
        sequence = TokenSequence(prompt=[0], max_tokens=1 << 20, sampling=Sampling(seed=0))
        engine.generation = Generation(cast(Engine, engine), sequence, Uninstrumented(), within_s=60.0)
        return await streamed(request, engine.generation, Answer(COMPLETION, "tiny", include_usage=False))

    async def serve() -> web.AppRunner:
        application = web.Application()
        application.router.add_post("/v1/completions", answer)
        runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(serve(), loop).result(30)
    try:
        yield engine, cast("tuple[str, int]", runner.addresses[0])
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@contextmanager
def client_of(address: tuple[str, int]) -> Iterator[socket.socket]:
    """A connection with hardly any room for what was not read, on which a stream was asked for."""
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        connection.settimeout(15)
        connection.connect(address)
        connection.sendall(REQUEST)
        yield connection


def rest_of(connection: socket.socket, at_once: int = 1 << 16) -> bytes:
    """All that comes up to the end of the answer."""
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        part = connection.recv(at_once)
        assert part, "the connection ended before the answer"
        received += part
    return received


def up_to(text: str, connection: socket.socket) -> bytes:
    """What comes up to the event whose text ends so."""
    received = b""
    while f'{text}"'.encode() not in received:
        received += connection.recv(1 << 16)
    return received


def begin(engine: Scripted, connection: socket.socket) -> bytes:
    """Say "one" and "two", each with all that the loop does for it; what the client got."""
    received = b""
    for text in ("one", "two"):
        engine.say(text)
        received += up_to(text, connection)
        engine.settle()
    return received


def events_of(answer: bytes) -> list[str]:
    """The data of each event; wrong chunks are no answer."""
    chunks, body = answer.partition(b"\r\n\r\n")[2], b""
    while chunks:
        size, _, chunks = chunks.partition(b"\r\n")
        body, end, chunks = (
            body + chunks[: int(size, 16)],
            chunks[int(size, 16) :][:2],
            chunks[int(size, 16) + 2 :],
        )
        assert end == b"\r\n"
    return [event.removeprefix("data: ") for event in body.decode().split("\n\n") if event]


def text_of(events: Sequence[str]) -> str:
    return "".join(json.loads(event)["choices"][0]["text"] for event in events)


def test_a_token_reaches_its_client_while_the_event_loop_is_busy() -> None:
    with engine_behind() as (engine, address), client_of(address) as connection:
        received = begin(engine, connection)
        with engine.busy_loop():
            engine.say("three", "", "four")
            received += up_to("four", connection)
            engine.say("five", finish_reason="stop")
        *events, done = events_of(received + rest_of(connection))
    assert (text_of(events), done) == ("onetwothreefourfive", "[DONE]")
    assert len(events) == 6, "one for each text, none for none, and the last"


def test_a_token_does_not_overtake_one_that_the_event_loop_still_has() -> None:
    with engine_behind() as (engine, address), client_of(address) as connection:
        engine.say("one")
        received = up_to("one", connection)
        engine.settle()
        with ExitStack() as before_three:
            with engine.busy_loop():
                engine.say("two")
                before_three.enter_context(engine.busy_loop())
                engine.say("three")
            received += up_to("two", connection)  # the loop has sent it, and comes to the next later
            engine.say("four")
        engine.say("five", finish_reason="stop")
        *events, _ = events_of(received + rest_of(connection))
    assert text_of(events) == "onetwothreefourfive"


def test_what_a_full_socket_did_not_take_comes_without_another_token() -> None:
    with engine_behind() as (engine, address), client_of(address) as connection:
        received = begin(engine, connection)
        engine.say("x" * 1_000_000 + "END")
        received += up_to("END", connection)
        engine.say("!", finish_reason="stop")
        *events, _ = events_of(received + rest_of(connection))
    assert text_of(events) == "onetwo" + "x" * 1_000_000 + "END!"


STEPS = st.lists(
    st.tuples(st.sampled_from([0, 1, 40, 3000, 20000]), st.booleans()),
    min_size=1,
    max_size=12,
)
"""Of each step how much text it brings, and whether the loop is done before the next."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=STEPS,
    read_from=st.integers(0, 12),
    at_once=st.sampled_from([100, 5000, 1 << 16]),
    ending=st.sampled_from(["stop", "failure"]),
)
def test_bytes_come_in_the_order_of_the_steps_however_slowly_they_are_read(
    steps: list[tuple[int, bool]],
    read_from: int,
    at_once: int,
    ending: str,
) -> None:
    texts = [
        f"<{number}>" + chr(97 + number) * size if size else "" for number, (size, _) in enumerate(steps)
    ]
    received: list[bytes] = []
    with engine_behind() as (engine, address), client_of(address) as connection:
        reader = threading.Thread(target=lambda: received.append(rest_of(connection, at_once)))
        for number, (text, (_, settles)) in enumerate(zip(texts, steps, strict=True)):
            if number == read_from:
                reader.start()
            engine.say(text or "", finish_reason=None)
            if settles or number == 0:  # the first has begun the answer, so that it is a stream
                engine.settle()
        if ending == "stop":
            engine.say("!", finish_reason="stop")
        else:
            engine.fail()
        if reader.ident is None:
            reader.start()
        reader.join(60)
    *events, last = events_of(received[0])
    if ending == "stop":
        assert (text_of(events), last) == ("".join(texts) + "!", "[DONE]")
    elif received[0].startswith(b"HTTP/1.1 200"):
        assert "".join(texts) == text_of(events)
        assert json.loads(last)["error"]["code"] == "unavailable"


def test_a_client_that_leaves_in_mid_stream_ends_it_and_leaves_no_descriptor(eventually: Eventually) -> None:
    with engine_behind() as (engine, address):
        before = psutil.Process().num_fds()
        with client_of(address) as connection:
            begin(engine, connection)
        # One thread goes on as if nothing had happened while the other learns of it.
        for _ in range(50):
            engine.say("more")
        eventually(lambda: engine.aborted, within_s=30)
        engine.say("more")
        assert psutil.Process().num_fds() == before


def test_a_stream_that_nobody_reads_does_not_hold_up_the_engine() -> None:
    texts = [f"<{number}>" + "x" * 5000 for number in range(200)]
    with engine_behind() as (engine, address), client_of(address) as connection:
        for text in texts:
            engine.say(text)
        engine.say("!", finish_reason="length")
        engine.settle()
        *events, done = events_of(rest_of(connection))
    assert (text_of(events), done) == ("".join(texts) + "!", "[DONE]")
