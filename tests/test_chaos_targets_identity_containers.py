"""A run in a container has pids of its own: whoever looks from outside takes none of its processes for lost."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from chaos.targets.identity import RUN_ID, RUNNER, ProcessId, marked
from tests.conftest import Eventually

CONTAINER = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child=KILL")


def can_make_one() -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    return subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_make_one(), reason="no pid namespace can be made here")
def test_a_process_of_a_run_in_a_container_is_not_taken_for_one_whose_runner_is_gone(
    eventually: Eventually,
) -> None:
    run_id = f"run-{os.getpid()}-contained"
    environment = {**os.environ, RUN_ID: run_id, RUNNER: "1:1.0"}

    def ours() -> list[ProcessId]:
        return [process for process, marks in marked(lambda marks: marks.get(RUN_ID) == run_id)]

    with subprocess.Popen([*CONTAINER, "sleep", "60"], env=environment) as outer:
        try:

            def inner() -> psutil.Process | None:
                children = psutil.Process(outer.pid).children()
                with suppress(psutil.Error):
                    return next((child for child in children if child.name() == "sleep"), None)
                return None

            contained = eventually(inner, within_s=20)
            assert isinstance(contained, psutil.Process)
            assert contained.environ()[RUN_ID] == run_id
            assert [process.pid for process in ours()] == [outer.pid]
        finally:
            outer.kill()
