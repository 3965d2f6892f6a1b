"""One rank: joins its group, loads its shard, computes every step that it is sent, and says that it lives.

Two connections lead to the server. `steps` brings pieces in and takes tokens out; `pulse` takes a message every
`PULSE_S` with how long the collectives took, from a thread of its own: it goes on while a step computes, and stops
where the whole process does.
"""

import logging
import os
import pickle
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, NamedTuple

from reference_server.batch import Backend, BackendStatistics, Drawn, Piece
from reference_server.errors import ConfigError
from reference_server.grid import Place
from reference_server.sampler import Sampling

if TYPE_CHECKING:  # the server, which never computes, sends these functions without importing torch
    from reference_server.shards.collectives import Collectives, Timing

PULSE_S = 0.2

Load = Callable[[Place, "Collectives"], Backend]
"""Makes the backend of one place; picklable."""

logger = logging.getLogger(__name__)


class Loaded(NamedTuple):
    """A rank's first word."""

    blocks: int
    lookahead: int


def encode(pieces: Sequence[Piece]) -> bytes:
    """A step for the ranks: plain tuples, since a message per step is sent to each of them."""
    return pickle.dumps(
        [
            (p.slot, p.start, p.tokens, list(p.blocks), p.sampling and _plain(p.sampling), p.ignore_eos)
            for p in pieces
        ]
    )


def _plain(sampling: Sampling) -> tuple[int, float, float]:
    return sampling.seed, sampling.temperature, sampling.top_p


def decode(step: bytes, *, draws: bool) -> list[Piece]:
    """The pieces again; a stage that is not the last draws nothing."""
    return [
        Piece(slot, start, tokens, blocks, Sampling(*sampling) if sampling and draws else None, ignore_eos)
        for slot, start, tokens, blocks, sampling, ignore_eos in pickle.loads(step)  # noqa: S301  the server's
    ]


def run_rank(place: Place, meeting: str, load: Load, steps: Connection, pulse: Connection) -> None:
    """Serve until the server ends the connection or this process; the ranks meet at the file `meeting`."""
    from reference_server.shards.collectives import Collectives

    timings: queue.SimpleQueue[Timing] = queue.SimpleQueue()
    try:
        collectives = Collectives(place, meeting)
        backend = load(place, collectives)
        backend.prepare()
        told = backend.statistics if place.answers else None
        threading.Thread(target=_beat, args=(pulse, timings, told), daemon=True).start()
        steps.send(Loaded(backend.blocks, backend.lookahead))
        _compute(place, collectives, backend, steps, timings)
    except ConfigError as error:
        steps.send(error)
    except (EOFError, BrokenPipeError):
        pass
    except Exception:
        logger.exception("rank=%d failed", place.rank)
        time.sleep(PULSE_S)  # the rank at whose loss this one failed is to be seen to end first


def _compute(
    place: Place,
    collectives: "Collectives",
    backend: Backend,
    steps: Connection,
    timings: "queue.SimpleQueue[Timing]",
) -> None:
    drawn: queue.SimpleQueue[Drawn] = queue.SimpleQueue()
    if place.answers:
        threading.Thread(target=_answer, args=(steps, drawn), daemon=True).start()
    while True:
        step = backend.submit(decode(steps.recv_bytes(), draws=place.last))
        if place.answers:
            drawn.put(step)
        collectives.probe()
        for timing in collectives.timings():
            if place.lane == 0:  # the other lanes took part in the same exchange
                timings.put(timing)


def _answer(steps: Connection, drawn: "queue.SimpleQueue[Drawn]") -> None:
    """Waits for tokens on a thread of its own, so that the next step is submitted meanwhile."""
    try:
        while True:
            steps.send_bytes(pickle.dumps(drawn.get().tokens()))
    except Exception:
        logger.exception("the last step failed")
        os._exit(1)


def _beat(
    pulse: Connection, timings: "queue.SimpleQueue[Timing]", statistics: BackendStatistics | None
) -> None:
    pause = threading.Event()
    try:
        while not pause.wait(PULSE_S):
            taken = [tuple(timings.get()) for _ in range(timings.qsize())]
            pulse.send((taken, asdict(statistics) if statistics else {}))
    except OSError:
        os._exit(0)  # the server is gone
