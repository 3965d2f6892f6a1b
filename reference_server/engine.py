"""The engine's thread: loads the model, then steps for as long as there is work.

Other threads talk to it through two queues, one for new sequences and one for aborted ones, and it talks back
with one message per step. It says truthfully when it last began a step: that is what liveness is judged by.
"""

import gc
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from reference_server.batch import BackendLostError
from reference_server.sampler import Sampling
from reference_server.sequence import TokenSequence

if TYPE_CHECKING:  # the core brings torch, which is imported on the engine's own thread
    from reference_server.core import Core, Outputs

logger = logging.getLogger(__name__)

LOADING, WARMING_UP = "the model is loading", "it is warming up"
IDLE_CHECK_S = 0.5
"""How often an engine without work looks after its backend."""


class QueueFullError(Exception):
    """As many sequences wait as may."""


class Engine:
    """One model, stepped by one thread.

    Args of the constructor:
        load: makes the core, on the engine's thread.
        deliver: takes the outputs of one step, on the engine's thread.
        lost: called on the engine's thread when a backend is lost, and with it every sequence, before another is
            loaded; None: the engine ends then.
        ended: called on the engine's thread as its last act; `failure` says why, None when it was told to stop.
        max_queue: sequences that may wait.
        min_step_s: each step takes at least this long.
    """

    def __init__(
        self,
        load: Callable[[], "Core"],
        deliver: Callable[["Outputs"], None],
        ended: Callable[[], None],
        *,
        lost: Callable[[], None] | None = None,
        max_queue: int,
        min_step_s: float = 0.0,
    ) -> None:
        self._load = load
        self._deliver = deliver
        self._ended = ended
        self._backend_lost = lost
        self._max_queue = max_queue
        self._min_step_s = min_step_s
        self.take_step: Callable[[Core], None] = self._step
        """What the thread does while there is work, over and over. A fault puts itself around it."""
        self._arrived: deque[TokenSequence] = deque()
        self._aborted: deque[TokenSequence] = deque()
        self._errands: deque[Callable[[Core], None]] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._core: Core | None = None
        self._waiting = 0
        """In the core's queue."""
        self._steps = 0
        """Of the core, when it last made progress."""
        self._step_began_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.ready = False
        self.doing = LOADING
        """What it is doing while it is not ready, in words."""
        self.failure: Exception | None = None

    def start(self) -> None:
        """Begin to load."""
        self._thread.start()

    def stop(self, within_s: float) -> None:
        """End after the current step; a thread that does not is left behind."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(within_s)

    def submit(self, sequence: TokenSequence) -> None:
        """Queue a sequence for the next step. One thread submits.

        Raises:
            QueueFullError: as many wait as may.
        """
        if len(self._arrived) + self._waiting >= self._max_queue:
            raise QueueFullError
        self._arrived.append(sequence)
        self._wake.set()

    def abort(self, sequence: TokenSequence) -> None:
        """Drop a sequence before the next step; one that has finished stays finished."""
        self._aborted.append(sequence)
        self._wake.set()

    def call(self, errand: Callable[["Core"], None]) -> None:
        """Have the thread do this before its next step, within `IDLE_CHECK_S` where it has no work."""
        self._errands.append(errand)
        self._wake.set()

    def claim_idle(self) -> None:
        """On the thread: have the probes believe that nothing is to be done, until the next step begins."""
        self._step_began_s = None

    def step_age_s(self) -> float:
        """How long ago the engine last made progress; 0 when there is nothing to do."""
        began_s = self._step_began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    def expected_s(self) -> float:
        """How long the steps in progress should take, by what steps took before and what the backend says."""
        if self._core is None:
            return 0.0
        return self._core.expected_s + self._core.backend.statistics.one_off_s

    def lost(self) -> str | None:
        """Why the backend can never compute again; None while it can."""
        return None if self._core is None else self._core.backend.statistics.lost

    @property
    def shapes(self) -> bool:
        """Whether the backend draws with a `Shaping`; True while it is not known yet."""
        return self._core is None or self._core.backend.shapes

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._serve(self._loaded())
        except Exception as error:
            self.failure = error
        finally:
            self.ready = False
            self._step_began_s = None
            self._ended()

    def _loaded(self) -> "Core":
        began_s = time.monotonic()
        self.doing = LOADING
        core = self._core = self._load()
        self.doing = WARMING_UP
        self._warm_up(core)
        # What was loaded lives as long as the process: the collector need not look at it again.
        gc.freeze()
        gc.enable()
        logger.info("Model initialized seconds=%.2f", time.monotonic() - began_s)
        return core

    def _serve(self, core: "Core") -> None:
        """Step until told to stop, or until the backend is lost."""
        self.ready = True
        try:
            while self._has_work(core):
                self.take_step(core)
        except BackendLostError as error:
            if self._backend_lost is None:
                raise
            self.ready = False
            self._step_began_s, self._waiting = None, 0
            self._arrived.clear()
            logger.warning("loading again, the backend is lost: %s", error)
            self._backend_lost()

    @staticmethod
    def _warm_up(core: "Core") -> None:
        """What the backend prepares, and two steps: what a first one needs besides computing is no measure."""
        core.backend.prepare()
        first = TokenSequence(prompt=[0], max_tokens=2, sampling=Sampling(seed=0), ignore_eos=True)
        core.add(first)
        while not first.ended:
            core.admit()
            core.step()

    def _has_work(self, core: "Core") -> bool:
        """Wait for work; False when the engine is to stop."""
        while not self._stopping.is_set():
            if (lost := self.lost()) is not None:
                raise BackendLostError(lost)
            self._wake.clear()
            while self._errands:
                self._errands.popleft()(core)
            if core.busy or self._arrived or self._aborted or core.opens_in_s() == 0:
                return True
            self._step_began_s = None
            self._wake.wait(min(core.opens_in_s(), IDLE_CHECK_S))
        return False

    def _step(self, core: "Core") -> None:
        began_s = time.monotonic()
        if self._step_began_s is None or core.steps > self._steps:
            self._step_began_s, self._steps = began_s, core.steps
        while self._arrived:
            core.add(self._arrived.popleft())
        while self._aborted:
            core.retire(self._aborted.popleft())
        core.admit()
        self._waiting = len(core.scheduler.waiting)
        if not core.busy:
            return
        outputs = core.step()
        if (left_s := began_s + self._min_step_s - time.monotonic()) > 0:
            time.sleep(left_s)
        for sequence, _ in outputs:
            sequence.events.token()
        if outputs:
            self._deliver(outputs)
