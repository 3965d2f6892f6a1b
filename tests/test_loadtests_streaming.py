import json
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from loadtests.endpoint import Endpoint
from loadtests.rows import Row
from loadtests.spec import Timeouts
from loadtests.streaming import StreamingClient
from tests.support.scripted_server import ScriptedServer

CERTIFICATE = Path(__file__).parent / "data" / "tls" / "loopback.pem"
TIMEOUTS = Timeouts(ttft_s=0.5, stall_s=0.3, deadline_s=0.8)


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def mute_port() -> Iterator[int]:
    """Takes connections (the kernel does) and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def request(
    url: str, timeouts: Timeouts = TIMEOUTS, body: bytes = b"{}", asked_tokens: int | None = None
) -> Row:
    client = StreamingClient(Endpoint.parse(url, "sk-secret"), timeouts, start_s=time.monotonic())
    return client.request(7, 0.0, body, asked_tokens)


OUTCOMES = [
    # script, outcome, tokens seen, in the error
    ("ok", "ok", 2, None),
    ("ok-3-20", "ok", 3, None),
    ("unframed", "ok", 1, None),
    ("interim", "ok", 2, None),
    ("status-301", "http_3xx", 0, "301 scripted"),
    ("status-400", "http_400", 0, "400 scripted"),
    ("status-401", "http_401", 0, "401 scripted"),
    ("status-404", "http_404", 0, "404 scripted"),
    ("status-418", "http_4xx", 0, "418 scripted"),
    ("status-429", "http_429", 0, "429 scripted"),
    ("status-500", "http_5xx", 0, "500 scripted"),
    ("status-503", "http_503", 0, "503 scripted"),
    ("status-504", "http_5xx", 0, "504 scripted"),
    ("reset", "reset_before_headers", 0, "reset by peer"),
    ("half_a_head", "eof_before_headers", 0, "closed without an answer"),
    ("eof", "eof_before_headers", 0, "closed without an answer"),
    ("silent", "ttft_timeout", 0, "nothing until 0.5"),
    ("heartbeats", "ttft_timeout", 0, "nothing until 0.5"),
    ("stall", "stall_timeout", 2, "nothing until 0.3"),
    ("trickle", "deadline", 1, "nothing until 1.5"),
    ("reset_mid", "reset_mid_stream", 1, "reset by peer"),
    ("cut", "truncated", 1, "ended after 1 tokens without [DONE]"),
    ("cut_unframed", "truncated", 1, "ended after 1 tokens without [DONE]"),
    ("no_done", "truncated", 1, "after 1 tokens and finish_reason stop without [DONE]"),
    ("no_finish", "truncated", 1, "[DONE] came without a finish_reason"),
    ("garbage", "bad_event", 1, "{oops"),
    ("not_http", "bad_event", 0, "not HTTP"),
    ("error_event", "error_event", 1, "engine died"),
    ("finish-tool_calls", "ok", 1, None),
    ("finish-function_call", "ok", 1, None),
    ("finish-abort-2", "aborted", 2, "finish_reason abort after 2 tokens"),
    ("finish-error", "aborted", 1, "finish_reason error"),
    ("finish-content_filter", "aborted", 1, "finish_reason content_filter"),
    ("finish-weather", "aborted", 1, "finish_reason weather"),
    ("finish-stop-0", "empty", 0, "finish_reason stop without a token"),
    ("head_of-503", "http_503", 0, "503 "),
]


PATIENT = Timeouts(ttft_s=20, stall_s=20, deadline_s=20)
BOUNDED = {
    "silent": TIMEOUTS,
    "heartbeats": TIMEOUTS,
    "stall": Timeouts(ttft_s=20, stall_s=0.3, deadline_s=20),
    "trickle": Timeouts(ttft_s=20, stall_s=20, deadline_s=1.5),
}
"""What is about a bound has that one; all others wait, for a busy machine is late with everything."""


@pytest.mark.parametrize(
    ("script", "outcome", "tokens", "message"), OUTCOMES, ids=[row[0] for row in OUTCOMES]
)
def test_every_end_of_a_request_has_its_outcome(
    server: ScriptedServer, script: str, outcome: str, tokens: int, message: str | None
) -> None:
    before = len(server.requests)
    row = request(server.url(script), BOUNDED.get(script, PATIENT))

    assert row.outcome == outcome
    assert len(row.token_s) == tokens or (script == "trickle" and len(row.token_s) > 1)
    assert message in (row.error or "") if message else row.error is None
    assert len(server.requests) == before + 1, "a request was sent twice"
    assert row.ended_s is not None


@pytest.mark.parametrize(
    ("script", "asked_tokens", "outcome", "message"),
    [
        ("ok-3", 3, "ok", None),
        ("ok-3", 2, "ok", None),
        ("ok-3", 4, "short", "3 tokens where 4 were asked for"),
        ("ok-1", 32, "short", "1 tokens where 32 were asked for"),
        ("no_usage-3", 3, "ok", None),
        ("no_usage-3", 4, "short", "3 tokens where 4 were asked for"),
        ("finish-abort-2", 4, "aborted", "finish_reason abort after 2 tokens"),
        ("finish-length-0", 4, "empty", "without a token"),
    ],
)
def test_an_answer_of_fewer_tokens_than_were_insisted_on_is_short(
    server: ScriptedServer, script: str, asked_tokens: int, outcome: str, message: str | None
) -> None:
    row = request(server.url(script), asked_tokens=asked_tokens)
    assert row.outcome == outcome
    assert message in (row.error or "") if message else row.error is None


def test_a_refusal_is_stamped_at_its_head_however_long_its_body_takes(server: ScriptedServer) -> None:
    row = request(server.url("head_of-503"))
    assert row.ended_s is not None
    assert row.ended_s == row.headers_s


def test_a_refusal_whose_body_is_cut_off_by_a_kill_is_a_refusal(server: ScriptedServer) -> None:
    client = StreamingClient(Endpoint.parse(server.url("head_of-429")), TIMEOUTS, time.monotonic())
    greenlet = gevent.spawn(client.request, 1, 0.0, b"{}")
    gevent.sleep(0.2)
    greenlet.kill(block=False)
    assert greenlet.get(timeout=30).outcome == "http_429"


def test_a_closed_port_refuses(free_port: int) -> None:
    assert request(f"http://127.0.0.1:{free_port}").outcome == "connect_refused"


def test_a_name_without_address_is_dns() -> None:
    row = request("http://no-such-host.invalid")
    assert (row.outcome, row.connected_s) == ("dns", None)


def test_a_handshake_that_never_comes_is_a_connect_timeout(mute_port: int) -> None:
    row = request(f"https://127.0.0.1:{mute_port}", Timeouts(ttft_s=0.2, stall_s=9, deadline_s=9))
    assert (row.outcome, row.connected_s) == ("connect_timeout", None)


def test_the_deadline_bounds_the_connection_too(mute_port: int) -> None:
    row = request(f"https://127.0.0.1:{mute_port}", Timeouts(ttft_s=9, stall_s=9, deadline_s=0.2))
    assert row.outcome == "connect_timeout"
    assert row.ended_s is not None
    assert row.ended_s < 5


def test_a_connection_that_nobody_takes_is_a_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:  # more than its queue holds: the kernel answers no further one
            each.setblocking(False)
            each.connect_ex(address)
        row = request(f"http://127.0.0.1:{address[1]}", Timeouts(ttft_s=0.3, stall_s=9, deadline_s=9))
        for each in waiting:
            each.close()
    assert (row.outcome, row.connected_s) == ("connect_timeout", None)
    assert row.ended_s is not None
    assert 0.29 < row.ended_s < 5


def test_a_body_that_fits_no_buffer_is_sent_in_parts(server: ScriptedServer) -> None:
    body = json.dumps({"prompt": "w" * 8_000_000}).encode()
    row = request(server.url("ok-2"), Timeouts(ttft_s=20, stall_s=20, deadline_s=20), body)
    assert (row.outcome, len(row.token_s)) == ("ok", 2)
    assert server.requests[-1][2] == body


def test_a_server_that_does_not_read_the_request_is_given_up_in_time(mute_port: int) -> None:
    row = request(
        f"http://127.0.0.1:{mute_port}", Timeouts(ttft_s=0.3, stall_s=9, deadline_s=9), b"w" * 30_000_000
    )
    assert (row.outcome, row.sent_s) == ("ttft_timeout", None)
    assert row.ended_s is not None
    assert 0.29 < row.ended_s < 5


@pytest.mark.parametrize("script", ["stall", "ok-3-900"], ids=["at once", "later"])
def test_a_stall_is_noticed_when_it_has_lasted_however_long_the_first_token_might_have_taken(
    server: ScriptedServer, script: str
) -> None:
    row = request(server.url(script), Timeouts(ttft_s=20, stall_s=0.4, deadline_s=30))
    assert row.outcome == "stall_timeout"
    assert row.ended_s is not None
    assert 0.39 < row.ended_s - row.token_s[-1] < 4


def test_what_came_while_the_client_stood_still_is_not_taken_for_silence(server: ScriptedServer) -> None:
    client = StreamingClient(
        Endpoint.parse(server.url("ok-12-50")),
        Timeouts(ttft_s=5, stall_s=0.25, deadline_s=5),
        time.monotonic(),
    )
    greenlet = gevent.spawn(client.request, 1, 0.0, b"{}")
    gevent.sleep(0.15)
    time.sleep(0.6)  # of this whole process but for the server's thread
    row = greenlet.get(timeout=30)
    assert (row.outcome, len(row.token_s)) == ("ok", 12)


def test_stamps_ascend_and_tokens_are_seen_when_they_are_sent(server: ScriptedServer) -> None:
    timeouts = Timeouts(ttft_s=5, stall_s=5, deadline_s=5)
    rows = [request(server.url("ok-6-50"), timeouts) for _ in range(5)]
    for row in rows:
        stamps = [
            row.dispatched_s,
            row.connected_s,
            row.sent_s,
            row.headers_s,
            *row.token_s,
            row.ended_s,
        ]
        assert all(stamp is not None for stamp in stamps)
        assert stamps == sorted(stamp or 0.0 for stamp in stamps)
        assert len(row.token_s) == 6
    # Six tokens, 50 ms apart: a client that reads blocks sees them together every time; one that had to wait for a
    # processor only now and then.
    assert any(min(row.itl_s) > 0.02 for row in rows), [row.itl_s for row in rows]
    waited_s = [row.token_s[0] - row.headers_s for row in rows if row.headers_s is not None]
    assert max(waited_s) > 0.02, "a role-only chunk was taken for a token"


def test_what_server_and_gateway_say_is_in_the_row(server: ScriptedServer) -> None:
    row = request(server.url("ok-3"))
    assert (row.index, row.status, row.replica, row.attempts) == (7, 200, "replica-a", 2)
    assert (row.prompt_tokens, row.output_tokens) == (7, 3)


def test_the_request_goes_under_the_prefix_with_the_key_and_without_compression(
    server: ScriptedServer,
) -> None:
    request(server.url("ok"), body=json.dumps({"model": "tiny"}).encode())
    path, headers, body = server.requests[-1]
    assert path == "/ok/v1/chat/completions"
    assert headers["authorization"] == "bearer sk-secret"
    assert headers["accept-encoding"] == "identity"
    assert headers["connection"] == "close"
    assert headers["host"] == f"127.0.0.1:{server.port}"
    assert json.loads(body) == {"model": "tiny"}


def test_tls_and_a_path_work_when_the_certificate_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with ScriptedServer(tls=context) as server:
        distrusted = request(server.url("ok-2"), Timeouts(ttft_s=5, stall_s=5, deadline_s=5))
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        trusted = request(server.url("ok-2"), Timeouts(ttft_s=5, stall_s=5, deadline_s=5))
    assert (distrusted.outcome, distrusted.connected_s) == ("connect_refused", None)
    assert "CERTIFICATE_VERIFY_FAILED" in (distrusted.error or "")
    assert (trusted.outcome, len(trusted.token_s)) == ("ok", 2)


@pytest.mark.parametrize(("script", "tokens"), [("silent", 0), ("stall-2", 2)], ids=["waiting", "mid-stream"])
def test_a_killed_request_is_censored_and_keeps_what_it_saw(
    server: ScriptedServer, script: str, tokens: int
) -> None:
    client = StreamingClient(
        Endpoint.parse(server.url(script)), Timeouts(ttft_s=9, stall_s=9, deadline_s=9), time.monotonic()
    )
    greenlet = gevent.spawn(client.request, 1, 0.0, b"{}")
    gevent.sleep(0.2)
    greenlet.kill(block=False)
    row = greenlet.get(timeout=30)
    assert (row.outcome, len(row.token_s)) == ("censored", tokens)


def test_running_out_of_descriptors_is_our_own_fault(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as probe:
        highest = probe.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    try:
        row = request(server.url("ok"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert row.outcome == "client_dropped"
    assert "Too many open files" in (row.error or "")


def test_many_requests_share_a_client(server: ScriptedServer) -> None:
    client = StreamingClient(
        Endpoint.parse(server.url("ok-4-20")), Timeouts(ttft_s=5, stall_s=5, deadline_s=5), time.monotonic()
    )
    greenlets = [gevent.spawn(client.request, index, 0.0, b"{}") for index in range(50)]
    gevent.joinall(greenlets, timeout=10)
    rows = [greenlet.value for greenlet in greenlets]
    assert [row.outcome for row in rows] == ["ok"] * 50
    assert [row.index for row in rows] == list(range(50))
    starts = [row.sent_s for row in rows]
    ends = [row.ended_s for row in rows]
    assert max(starts) < min(ends), "they went one after another"
