"""The promise that nothing is left behind, kept 20 times over the whole demo."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_20_sigkills_of_the_runner_at_random_instants_leave_nothing_behind() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kill_runner"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "20/20 left nothing behind", done.stdout + done.stderr
