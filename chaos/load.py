"""The load as the runner sees it: a Locust child process, started, followed through its files, and ended.

Locust patches the process that imports it, so it is never imported here. The child is told everything by
options, says when its run clock began in `load.json`, and appends a row per planned arrival to
`requests.jsonl`. It holds one end of a pipe whose other end lives and dies with this process: a runner that
is killed takes its load with it.
"""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from chaos.errors import InconclusiveError
from loadtests.rows import Row, RowTail

_POLL_S = 0.02
_GRACE_S = 5.0
_LOG_TAIL_LINES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadConfig:
    """One open-loop load. Paths are in folders that exist; no model means the first that the server lists."""

    url: str
    rate_per_s: float
    rate_from_per_s: float = 0.0
    """Where the rate begins, to rise to `rate_per_s` until the plan ends; 0 for the same rate throughout."""
    duration_s: float
    seed: int
    rows_path: Path
    summary_path: Path
    log_path: Path
    model: str = ""
    arrivals: Literal["poisson", "constant"] = "poisson"
    prompt_tokens: int = 64
    output_tokens: int = 32
    ignore_eos: bool = True
    max_in_flight: int = 512
    ttft_timeout_s: float = 10.0
    stall_timeout_s: float = 5.0
    deadline_s: float = 30.0
    drain_s: float = 30.0
    marks: Mapping[str, str] = field(default_factory=dict)
    """Put into the child's environment, so that a lost run's load can be found."""


class Lag(BaseModel):
    """The generator's own lateness, of dispatches and of greenlets that its hub wakes; None without samples."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    dispatch_p50_s: float | None
    dispatch_p99_s: float | None
    dispatch_max_s: float | None
    hub_p99_s: float | None
    hub_max_s: float | None


class LoadSummary(BaseModel):
    """`load.json`; what is None is known only when the state is finished."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    state: Literal["running", "finished"]
    start_monotonic_s: float
    planned: int
    plan_sha256: str
    duration_s: float
    model: str
    rows: int | None = None
    dropped: int | None = None
    censored: int | None = None
    lag: Lag | None = None
    peak_in_flight: int | None = None


class Load:
    """One load from start to end; leaving the `with` block ends it on every path."""

    def __init__(self, config: LoadConfig) -> None:
        self.config = config
        self._child: subprocess.Popen[bytes] | None = None
        self._pipe_fd: int | None = None
        self._rows = RowTail(config.rows_path)
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The child's pid; None before it was started."""
        return self._child.pid if self._child is not None else None

    def start(self, within_s: float = 30.0) -> LoadSummary:
        """Start the child and wait until it says when its run clock begins: `start_monotonic_s`, just ahead.

        Call it in the thread that lives longest: on Linux the child is killed when the thread that made it
        ends.

        Raises:
            InconclusiveError: the child ended, or said nothing within `within_s`; its log's tail is the hint.
        """
        for stale in (self.config.rows_path, self.config.summary_path):
            stale.unlink(missing_ok=True)
        self._child = self._spawn()
        deadline_s = time.monotonic() + within_s
        while (summary := self._read_summary()) is None:
            if self._child.poll() is not None or time.monotonic() > deadline_s:
                ended = self._child.poll()
                self.stop()
                how = f"exit code {ended}" if ended is not None else f"nothing within {within_s:g} s"
                raise self._failure(f"the load did not start: {how}")
            time.sleep(_POLL_S)
        return summary

    def poll(self) -> bool:
        """Whether the load is still under way.

        Raises:
            InconclusiveError: it ended before its plan did, without having been stopped.
        """
        if self._child is None:
            return False
        exit_code = self._child.poll()
        if exit_code is None:
            return True
        summary = self._read_summary()
        if not self._stopped and (exit_code != 0 or summary is None or summary.state != "finished"):
            raise self._failure(f"the load ended before its plan: exit code {exit_code}")
        return False

    def new_rows(self) -> list[Row]:
        """The rows written since the last call, in order of their ends."""
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
            with suppress(subprocess.TimeoutExpired):
                child.wait(_GRACE_S)
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if self._pipe_fd is not None:
            os.close(self._pipe_fd)
            self._pipe_fd = None

    def _spawn(self) -> subprocess.Popen[bytes]:
        child_fd, self._pipe_fd = os.pipe()
        try:
            with self.config.log_path.open("wb") as log:
                return subprocess.Popen(
                    [*_locust(), *_options(self.config), "--exit-with-parent-fd", str(child_fd)],
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
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        told = [line for line in lines if line.strip() and "|" not in line]  # Locust ends with tables
        tail = "\n".join(told[-_LOG_TAIL_LINES:])
        return InconclusiveError(f"{message}; log: {log}", hint=f"its log ends with\n{tail}")


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
    options = {
        "host": config.url,
        "model": config.model,
        "rate": config.rate_per_s,
        "rate-from": config.rate_from_per_s,
        "arrivals": config.arrivals,
        "seed": config.seed,
        "duration": config.duration_s,
        "prompt-tokens": config.prompt_tokens,
        "output-tokens": config.output_tokens,
        "max-in-flight": config.max_in_flight,
        "ttft-timeout": config.ttft_timeout_s,
        "stall-timeout": config.stall_timeout_s,
        "deadline": config.deadline_s,
        "drain": config.drain_s,
        "rows": config.rows_path.absolute(),
        "summary": config.summary_path.absolute(),
    }
    flags = ["--ignore-eos"] if config.ignore_eos else []
    return [*(f"--{name}={value}" for name, value in options.items()), *flags]
