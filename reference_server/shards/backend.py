"""A backend whose model is spread over rank processes: this side sends each step to all of them and reads the tokens.

Nothing here computes, or imports torch. Every rank is watched outside of the collectives: by the end of its connection
(it died), by its pulse (it was stopped), and by the time a step takes (it hangs). A rank that is lost takes the
whole group with it at once, so nobody waits for it inside a collective. From then on steps raise
`BackendLostError`, and a new `ShardedBackend` of the same `Group` is its restart.
"""

import logging
import pickle
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NoReturn

from reference_server.batch import BackendLostError, BackendStatistics, Piece
from reference_server.errors import ConfigError
from reference_server.grid import Grid, Place
from reference_server.shaping import NO_LOGPROBS, TokenLogprobs
from reference_server.shards.nursery import Nursery
from reference_server.shards.rank import Load, Loaded, encode, run_rank

SILENCE_S = 1.2
"""A rank that was not heard for this long is lost: six pulses."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Group:
    """What every group of ranks of this server has in common, from one restart to the next."""

    grid: Grid
    nursery: Nursery
    report: Callable[[str, str, float], None] = lambda *_: None
    """Takes operation, peer and seconds of every timed exchange, on the watching thread."""
    answer_s: float = 10.0
    """A step that is waited for longer has hung, from the second on, beyond what the ranks say of compilations. Not the
    way to notice a loss: a rank that died or was stopped is noticed by its pulse, within 2 s."""
    start_s: float = 300.0
    """The ranks have this long to load, and again to answer their first step."""


class ShardedBackend:
    """Implements `Backend`. Used by one thread at a time; another watches."""

    shapes = False  # tokens alone come back from the ranks

    def __init__(self, group: Group, load: Load) -> None:
        """Start the ranks and wait until all have loaded.

        Raises:
            ConfigError: a rank says that a setting is wrong.
            BackendLostError: a rank ended, or did not load in time.
        """
        self._group = group
        self.statistics = BackendStatistics()
        self._drawn: dict[int, int] = {}
        self._reading_since_s: float | None = None
        self._allowed_s = group.start_s
        grid, start = group.grid, group.nursery.start
        # Ranks come back to where they met for as long as they live: connections are made when first used.
        self._folder = tempfile.TemporaryDirectory()
        meeting = str(Path(self._folder.name) / "ranks")
        ranks = [start(partial(run_rank, Place(grid, rank), meeting, load)) for rank in range(grid.ranks)]
        self._steps, self._pulses = [steps for steps, _ in ranks], [pulse for _, pulse in ranks]
        self._answers = self._steps[-grid.tensor]
        try:
            self.blocks, self.lookahead = min(self._loaded())
        except BaseException:
            self._end_ranks()
            raise
        self._watcher = threading.Thread(target=self._watch_ranks, name="ranks", daemon=True)
        self._watcher.start()

    def prepare(self) -> None:
        """Nothing: the ranks did when they loaded."""

    def submit(self, pieces: Sequence[Piece]) -> "Step":
        """Send the step to every rank; raises BackendLostError."""
        if self.lookahead == 0:
            # What a slot drew last is known on this side, and on theirs in the last stage alone.
            pieces = [p if p.tokens else replace(p, tokens=(self._drawn[p.slot],)) for p in pieces]
        message = encode(pieces)
        self.check()
        try:
            for connection in self._steps:
                connection.send_bytes(message)
        except OSError:
            self._raise_lost()
        return Step(self, [p.slot for p in pieces if p.sampling])

    def check(self) -> None:
        """Raise BackendLostError when a rank is lost."""
        if self.statistics.lost:
            self._raise_lost()

    def read(self, slots: Sequence[int]) -> list[int]:
        """The tokens of the oldest step that was not read, drawn in these slots; raises BackendLostError."""
        self._reading_since_s = time.monotonic()
        try:
            tokens: list[int] = pickle.loads(self._answers.recv_bytes())  # noqa: S301  our own child's
        except (EOFError, OSError):
            self._raise_lost()
        self._reading_since_s, self._allowed_s = None, self._group.answer_s
        self._drawn.update(zip(slots, tokens, strict=True))
        return tokens

    def close(self) -> None:
        """End the ranks; nothing else may be asked afterwards."""
        self.statistics.lost = "closed"
        self._watcher.join()

    def _raise_lost(self) -> NoReturn:
        self._watcher.join()
        raise BackendLostError(self.statistics.lost)

    def _loaded(self) -> list[Loaded]:
        loaded: list[Loaded] = []
        loading, deadline_s = list(self._steps), time.monotonic() + self._group.start_s
        while loading:
            spoke = [c for c in wait(loading, deadline_s - time.monotonic()) if isinstance(c, Connection)]
            if not spoke:
                raise BackendLostError(f"{len(loading)} ranks did not load within {self._group.start_s:g} s")
            for connection in spoke:
                loading.remove(connection)
                try:
                    word = connection.recv()
                except (EOFError, OSError):
                    rank = self._steps.index(connection)
                    raise BackendLostError(f"rank {rank} ended while it loaded") from None
                if isinstance(word, ConfigError):
                    raise word
                loaded.append(word)
        return loaded

    def _watch_ranks(self) -> None:
        heard_s = dict.fromkeys(self._pulses, time.monotonic())
        while not self.statistics.lost:
            if found := self._listen(heard_s) or self._late(heard_s):
                self.statistics.lost = found
        logger.info("the ranks end: %s", self.statistics.lost)
        self._end_ranks()

    def _end_ranks(self) -> None:
        self._group.nursery.kill_ranks()
        self._folder.cleanup()

    def _listen(self, heard_s: dict[Connection, float]) -> str | None:
        for pulse in wait(self._pulses, timeout=0.1):
            assert isinstance(pulse, Connection)
            try:
                timings, told = pulse.recv()
            except (EOFError, OSError):
                return f"rank {self._pulses.index(pulse)} ended"
            heard_s[pulse] = time.monotonic()
            for timing in timings:
                self._group.report(*timing)
            if lost := told.pop("lost", None):
                return f"rank {self._pulses.index(pulse)}: {lost}"
            for name, value in told.items():
                setattr(self.statistics, name, value)
        return None

    def _late(self, heard_s: dict[Connection, float]) -> str | None:
        now_s = time.monotonic()
        for rank, pulse in enumerate(self._pulses):
            if now_s - heard_s[pulse] > SILENCE_S:
                return f"rank {rank} has not been heard for {SILENCE_S:g} s"
        since_s, allowed_s = self._reading_since_s, self._allowed_s + self.statistics.one_off_s
        if since_s is not None and now_s - since_s > allowed_s:
            return f"a step takes longer than {allowed_s:g} s"
        return None


@dataclass(frozen=True, slots=True)
class Step:
    """A step that all ranks compute."""

    backend: ShardedBackend
    slots: Sequence[int]

    @property
    def logprobs(self) -> Mapping[int, TokenLogprobs]:
        """None: such draws are not made here."""
        return NO_LOGPROBS

    def tokens(self) -> list[int]:
        """One per piece that draws; waits for them, raises BackendLostError."""
        return self.backend.read(self.slots)
