"""However a run ends, it leaves a journal and a report, and `aftershock report` makes both again of its folder."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.cli import main
from chaos.ending import deciding
from chaos.errors import (
    AbortedError,
    AftershockError,
    CleanupError,
    ExitCode,
    InconclusiveError,
    RefusedError,
)
from chaos.interrupts import Interrupted
from tests.conftest import wait_until
from tests.test_chaos_cli import SHORTER, TOYS
from tests.test_chaos_run import processes_marked, write_experiment

NEVER = (
    TOYS.replace("rate: 25", "rate: 0.2, arrivals: constant")
    .replace("baseline: 20s", "baseline: 400s")
    .replace("p99(ttft, baseline)", "p50(ttft, baseline)")
)
"""After the first one, no arrival for five seconds."""


def load_processes(runner: int) -> list[psutil.Process]:
    """The runner's children that are Locust; one that is ending has no command line any more."""
    found = []
    for child in psutil.Process(runner).children():
        with suppress(psutil.Error):
            if "locust" in " ".join(child.cmdline()):
                found.append(child)
    return found


def kill_the_load(runner: "subprocess.Popen[str]", out: Path) -> None:
    wait_until((out / "load.json").exists, within_s=60, what="the load")
    for process in load_processes(runner.pid):
        process.kill()


def kill_the_load_before_its_first_row(runner: "subprocess.Popen[str]", out: Path) -> None:
    wait_until(lambda: load_processes(runner.pid), within_s=60, what="the load's process")
    for process in load_processes(runner.pid):
        process.kill()
    assert not (out / "requests.jsonl").exists() or not (out / "requests.jsonl").read_text()


def interrupt(sent: signal.Signals) -> Callable[["subprocess.Popen[str]", Path], None]:
    def act(runner: "subprocess.Popen[str]", out: Path) -> None:
        wait_until((out / "load.json").exists, within_s=60, what="the load")
        runner.send_signal(sent)

    return act


def kill_the_load_after_injection(runner: "subprocess.Popen[str]", out: Path) -> None:
    wait_until((out / "state.jsonl").exists, within_s=60, what="the injection")
    kill_the_load(runner, out)


def nothing(_runner: "subprocess.Popen[str]", _out: Path) -> None:
    pass


def ended(
    folder: Path, text: str, act: Callable[["subprocess.Popen[str]", Path], None]
) -> tuple[Path, int, str]:
    """One run to its end, however that comes: its folder, exit code and complaint."""
    out = folder / "out"
    with subprocess.Popen(
        [sys.executable, "-m", "chaos", "run", str(write_experiment(folder / "in", text)), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "AFTERSHOCK_TEST_MARK": str(out)},
    ) as runner:
        act(runner, out)
        _, complaint = runner.communicate(timeout=120)
    return out, runner.returncode, complaint


ENDINGS = [
    pytest.param(
        SHORTER, kill_the_load_before_its_first_row, 3, "load", id="the load died before its first row"
    ),
    pytest.param(NEVER, kill_the_load, 3, "load", id="the load died", marks=pytest.mark.slow),
    pytest.param(SHORTER, kill_the_load_after_injection, 4, "aborted after injection", id="aborted"),
    pytest.param(SHORTER, interrupt(signal.SIGINT), 130, "interrupted by SIGINT", id="Ctrl-C"),
    pytest.param(SHORTER, interrupt(signal.SIGTERM), 130, "interrupted by SIGTERM", id="SIGTERM"),
    pytest.param(
        SHORTER,
        interrupt(signal.SIGHUP),
        130,
        "interrupted by SIGHUP",
        id="SIGHUP",
        marks=pytest.mark.slow,
    ),
    pytest.param(
        SHORTER.replace("rate: 25", "rate: 60% of capacity").replace("ttft: 2s", "ttft: 1us"),
        nothing,
        3,
        "capacity",
        id="refused while capacity was measured",
        marks=pytest.mark.slow,
    ),
    pytest.param(
        SHORTER.replace("ttft: 2s, e2e: 4s", "ttft: 1us, e2e: 4s"),
        nothing,
        3,
        "the baseline is unhealthy, nothing was injected",
        id="refused on an unhealthy baseline",
    ),
    pytest.param(
        SHORTER.replace("replicas: 3,", "replicas: 3, ready_within: 3s,").replace(
            "toy_replica", "no_such_module"
        ),
        nothing,
        3,
        "",
        id="the target did not start",
    ),
]


@pytest.mark.parametrize(("text", "act", "code", "why"), ENDINGS)
def test_every_ending_leaves_a_journal_and_a_report_that_can_be_made_again(
    text: str,
    act: Callable[["subprocess.Popen[str]", Path], None],
    code: int,
    why: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, exit_code, complaint = ended(tmp_path, text, act)
    assert exit_code == code, complaint
    assert why in complaint
    assert (out / "state.jsonl").exists() == (code == ExitCode.ABORTED), "what was injected is on record"
    assert processes_marked(str(out)) == []
    journal: dict[str, Any] = json.loads((out / "journal.json").read_text())
    assert (journal["verdict"], journal["exit_code"]) == ("inconclusive", code)
    assert why in journal["cut_short"]
    assert journal["cut_short"] in journal["reasons"]
    assert all(phase["start_s"] <= phase["end_s"] for phase in journal["phases"])
    reports = [out / name for name in ("report.html", "summary.md", "junit.xml")]
    assert all(path.stat().st_size > 0 for path in reports)
    for path in (*reports, out / "journal.json"):
        path.unlink()
    assert main(["report", str(out)]) == code
    assert "INCONCLUSIVE" in (said := capsys.readouterr().out) or "ABORTED" in said or "INTERRUPTED" in said
    assert json.loads((out / "journal.json").read_text()) == journal
    assert all(path.is_file() for path in reports)


@pytest.mark.parametrize(
    ("errors", "decides"),
    [
        ((RefusedError("a"),), 0),
        ((RefusedError("a"), InconclusiveError("b")), 0),
        ((Interrupted("SIGINT"), InconclusiveError("b"), RefusedError("c")), 0),
        ((OSError("a"), InconclusiveError("b")), 1),
        ((RefusedError("a"), CleanupError("b")), 1),
        ((RefusedError("a"), CleanupError("b"), InconclusiveError("c")), 1),
    ],
    ids=lambda value: " then ".join(type(one).__name__ for one in value) if isinstance(value, tuple) else "",
)
def test_the_first_error_says_how_a_run_ended_unless_something_may_still_be_there(
    errors: tuple[BaseException, ...], decides: int
) -> None:
    for before, error in pairwise(errors):
        error.__context__ = before
    last = errors[-1]
    assert isinstance(last, AftershockError | Interrupted)
    assert deciding(last) is errors[decides]


def test_an_error_that_was_raised_from_another_stands_in_its_place() -> None:
    error = AbortedError("aborted after injection")
    error.__context__ = error.__cause__ = InconclusiveError("the load died")
    assert deciding(error) is error
