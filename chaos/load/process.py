"""The load as the runner sees it: a Locust child process, started, followed through its files, and ended.

Locust patches the process that imports it, so it is never imported here. What is to be asked, and when, is written
here as `plan.jsonl` before the child exists. The child is told the rest by options, says when its run clock began in
`load.json`, and appends a row per planned arrival to `requests.jsonl`; several processes append to a part each. It
holds one end of a pipe whose other end lives and dies with this process: a runner that is killed takes its load with
it.
"""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from chaos.errors import InconclusiveError
from chaos.interrupts import wait_in_order
from chaos.load.log import last_words, tail
from loadtests.parts import RowTail, merge_parts, remove_rows
from loadtests.plan import Plan
from loadtests.rows import Row
from loadtests.settings import as_options
from loadtests.spec import LoadSpec

_HOST = "127.0.0.1"
_POLL_S = 0.02
_GRACE_S = 5.0
_GRACE_OF_SEVERAL_S = 15.0
"""A master waits for workers in steps of seconds, and longer for one that is gone."""


class LoadConfig(LoadSpec):
    """One load as a run starts it. Paths are in folders that exist."""

    plan_path: Path
    """Where the plan is written, and read by the child."""
    rows_path: Path
    summary_path: Path
    log_path: Path
    marks: Mapping[str, str] = {}
    """Put into the child's environment, so that a lost run's load can be found."""


class Lag(BaseModel):
    """The generator's own lateness, of dispatches and of greenlets that its hub wakes; None without samples."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    dispatch_p50_s: float | None
    dispatch_p99_s: float | None
    dispatch_max_s: float | None
    hub_p99_s: float | None
    hub_max_s: float | None


class Stall(BaseModel):
    """A time that one process of the load stood still; `loadtests.stalls` says what the words mean."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    start_s: float
    length_s: float
    what: Literal["collector", "busy", "stopped"]
    worker: int


class Clock(BaseModel):
    """How far the monotonic clock of one process of the load is from that of the first."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    worker: int
    shared: bool
    """Whether it is the same clock: then nothing was added to it."""
    offset_s: float
    uncertainty_s: float


class LoadSummary(BaseModel):
    """`load.json`; what is None is known only when the state is finished."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    state: Literal["running", "finished"]
    start_monotonic_s: float
    planned: int
    plan_sha256: str
    duration_s: float
    model: str
    clocks: list[Clock] | None = None
    rows: int | None = None
    dropped: int | None = None
    censored: int | None = None
    lag: Lag | None = None
    peak_in_flight: int | None = None
    lost_workers: list[int] | None = None
    """Those that ended, or hung, before they reported: their rows are missing."""
    stall_count: int | None = None
    stalls: list[Stall] | None = None
    """The longest of them, in order of time."""


class Load:
    """One load from start to end; leaving the `with` block ends it on every path."""

    def __init__(self, config: LoadConfig) -> None:
        self.config = config
        self.plan = Plan.of(config)
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe_fd: int | None = None
        self._workers: Sequence[psutil.Process] = ()
        self._rows = RowTail(config.rows_path)
        self._stopped = False

    def __enter__(self) -> Self:
        """Write the plan: what will be asked is on disk before anything is."""
        self.plan.write(self.config.plan_path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> Sequence[int]:
        """Of the child and its workers; none before it was started."""
        started = [self._child.pid] if self._child is not None else []
        return [*started, *(worker.pid for worker in self._workers)]

    def start(self, within_s: float = 30.0) -> LoadSummary:
        """Start the child and wait until it says when its run clock begins: `start_monotonic_s`, just ahead.

        Call it in the thread that lives longest: on Linux the child is killed when the thread that made it
        ends.

        Raises:
            InconclusiveError: the child ended, or said nothing within `within_s`; its log's tail is the hint.
        """
        remove_rows(self.config.rows_path)
        self.config.summary_path.unlink(missing_ok=True)
        self._child = self._spawn()
        deadline_s = time.monotonic() + within_s
        while (summary := self._read_summary()) is None:
            if self._child.poll() is not None or time.monotonic() > deadline_s:
                ended = self._child.poll()
                self.stop()
                how = f"exit code {ended}" if ended is not None else f"nothing within {within_s:g} s"
                raise self._failure(f"the load did not start: {how} ({last_words(self.config.log_path)})")
            time.sleep(_POLL_S)
        if summary.plan_sha256 != self.plan.sha256:
            raise self._failure(f"the load plays another plan than {self.config.plan_path}")
        if self.config.processes > 1:
            self._workers = psutil.Process(self._child.pid).children()
        return summary

    def poll(self) -> bool:
        """Whether the load is still under way.

        Raises:
            InconclusiveError: it ended before its plan did, without having been stopped.
        """
        if self._child is None:
            return False
        gone = [worker.pid for worker in self._workers if not _lives(worker)]
        exit_code = self._child.poll()
        summary = self._read_summary() if gone or exit_code is not None else None
        if gone and not self._stopped and (summary is None or summary.state != "finished"):
            raise self._failure(f"a process of the load ended before its plan: pid {gone[0]}")
        if exit_code is None:
            return True
        if not self._stopped and (exit_code != 0 or summary is None or summary.state != "finished"):
            raise self._failure(f"the load ended before its plan: exit code {exit_code}")
        return False

    def new_rows(self) -> list[Row]:
        """The rows written since the last call, by whichever process; those of one in order of their ends."""
        return self._rows.new()

    def wait(self, within_s: float) -> LoadSummary:
        """Wait until plan and drain are over; every planned arrival has its row then.

        Raises:
            InconclusiveError: it took longer than `within_s`, ended early, or left arrivals without a row.
        """
        deadline_s = time.monotonic() + within_s
        while self.poll():
            if time.monotonic() > deadline_s:
                raise self._failure(f"the load has not ended within {within_s:g} s")
            time.sleep(_POLL_S)
        summary = self._read_summary()
        if summary is None or summary.rows != summary.planned:
            raise self._failure(f"the load left arrivals without a row: {summary}")
        return summary

    def close(self) -> None:
        """Offer nothing more and let what is under way end: `wait` then comes back sooner. Not before `start`."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGUSR1)

    def stop(self) -> None:
        """End the child, politely first: what it had under way is then censored. Harmless the second time."""
        child = self._child
        if child is not None and child.poll() is None:
            self._stopped = True
            child.terminate()
            wait_in_order(child, _GRACE_S if self.config.processes == 1 else _GRACE_OF_SEVERAL_S)
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        merge_parts(self.config.rows_path)  # what a child that was killed could not put together
        if self._pipe_fd is not None:
            os.close(self._pipe_fd)
            self._pipe_fd = None

    def _spawn(self) -> subprocess.Popen[bytes]:
        child_fd, self._pipe_fd = os.pipe()
        try:
            with self.config.log_path.open("wb") as log:
                return subprocess.Popen(
                    [*_locust(), *_options(self.config), f"--exit-with-parent-fd={child_fd}"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # Locust would read a configuration where it runs, and LOCUST_* of the environment.
                    cwd=self.config.rows_path.parent,
                    env=_environment(self.config),
                    pass_fds=(child_fd,),
                    start_new_session=True,
                )
        finally:
            os.close(child_fd)

    def _read_summary(self) -> LoadSummary | None:
        try:
            return LoadSummary.model_validate_json(self.config.summary_path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise self._failure(f"{self.config.summary_path} is not what the load writes: {error}") from error

    def _failure(self, message: str) -> InconclusiveError:
        log = self.config.log_path
        return InconclusiveError(f"{message}; log: {log}", hint=f"its log ends with\n{tail(log)}")


def _environment(config: LoadConfig) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("LOCUST_")}
    return {**inherited, **config.marks}


def _locust() -> list[str]:
    """The command without options; the locustfile is found, not imported."""
    spec = importlib.util.find_spec("loadtests.locustfile")
    assert spec is not None
    assert spec.origin is not None
    return [sys.executable, "-m", "locust", "--locustfile", spec.origin, "--headless", "--only-summary"]


def _options(config: LoadConfig) -> list[str]:
    """Everything that the load declares, and where master and workers meet if there are several processes."""
    if config.processes == 1:
        return as_options(config)
    port = _free_port()
    meeting = (f"--master-bind-host={_HOST}", f"--master-host={_HOST}")
    return [*as_options(config), *meeting, f"--master-bind-port={port}", f"--master-port={port}"]


def _free_port() -> int:
    """A port that was free a moment ago; a load that finds it taken does not start, and says so."""
    with socket.create_server((_HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def _lives(process: psutil.Process) -> bool:
    """Whether it runs: one that ended stays in the process table until its parent asks for it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
