"""The promise that nothing is left behind, kept whatever process of a run is killed, and whenever."""

import subprocess
import sys
from pathlib import Path

import pytest


def last_line(*options: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.random_kills", *options],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    return said.splitlines()[-1], said


@pytest.mark.timeout(900)
def test_random_sigkills_in_two_lanes_at_once_leave_nothing_behind() -> None:
    options = ("--times", "2", "--seed", "7", "--only", "runner,supervisor,proxy,gateway", "--lanes", "2")
    last, said = last_line(*options)
    assert last == "2/2 left nothing behind", said


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_100_random_sigkills_leave_nothing_behind() -> None:
    last, said = last_line("--times", "100")
    assert last == "100/100 left nothing behind", said
