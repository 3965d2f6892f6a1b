"""The server that benchmarks measure clients with: it answers as it is asked, counts, and can be frozen."""

import os
import signal
import time

import gevent
import pytest

from loadtests.completions import request_body
from loadtests.endpoint import Endpoint, first_model
from loadtests.rows import Row
from loadtests.spec import Timeouts
from loadtests.streaming import StreamingClient
from tests.conftest import Eventually
from tests.support.plain_server import asked_so_far, plain_server, plain_servers


def ask(url: str, tokens: int) -> Row:
    client = StreamingClient(Endpoint.parse(url), Timeouts(), time.monotonic())
    return client.request(0, 0.0, request_body("plain", "hello", tokens, ignore_eos=True), tokens)


@pytest.mark.parametrize("gap_ms", [0.0, 5.0])
def test_it_answers_as_many_tokens_as_it_is_asked_for_and_counts(gap_ms: float) -> None:
    with plain_server(gap_ms) as (url, _):
        assert first_model(Endpoint.parse(url)) == "plain"
        greenlets = [gevent.spawn(ask, url, tokens) for tokens in (1, 2, 40)]
        rows = [greenlet.get(timeout=30) for greenlet in greenlets]
        assert asked_so_far(url) == 3
    assert [(row.outcome, len(row.token_s), row.output_tokens) for row in rows] == [
        ("ok", 1, 1),
        ("ok", 2, 2),
        ("ok", 40, 40),
    ]
    # From when it was sent: a reader that wakes up late finds the first tokens together, and no stamp of its own early.
    assert rows[2].token_s[-1] - rows[2].sent_s >= 39 * gap_ms / 1000


def test_it_stands_still_while_it_is_stopped() -> None:
    with plain_server(1.0) as (url, pid):
        os.kill(pid, signal.SIGSTOP)
        greenlet = gevent.spawn(ask, url, 2)
        gevent.sleep(0.3)
        os.kill(pid, signal.SIGCONT)
        row = greenlet.get(timeout=30)
    assert row.ok
    assert row.token_s[0] > 0.29


def test_several_share_the_connections_of_one_port(eventually: Eventually) -> None:
    with plain_servers(2) as (url, pids):
        greenlets = [gevent.spawn(ask, url, 1) for _ in range(201)]
        assert all(greenlet.get(timeout=30).ok for greenlet in greenlets)
        counts: set[int] = set()  # of an odd number, so never twice the same

        def both_have_told() -> bool:
            counts.add(asked_so_far(url))
            return len(counts) == 2

        eventually(both_have_told, within_s=30)
    assert len(set(pids)) == 2
    assert sum(counts) == 201
    assert min(counts) > 20
