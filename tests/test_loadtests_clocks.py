"""Clocks of master and workers: what echoes say of them, and that rows of another host are on the run clock."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.clocks import Echo, offset_of
from loadtests.rows import read_rows
from tests.support.scripted_server import ScriptedServer

ROOT = Path(__file__).parent.parent
WAYS = st.tuples(st.integers(0, 500_000), st.integers(0, 500_000), st.integers(0, 10**9))


@given(st.integers(-(10**12), 10**12), st.lists(WAYS, min_size=1, max_size=20))
def test_the_offset_is_within_what_is_said_of_it(offset_us: int, ways: list[tuple[int, int, int]]) -> None:
    echoes = [
        Echo(sent / 1e6, (sent + there + offset_us) / 1e6, (sent + there + back) / 1e6)
        for there, back, sent in ways
    ]
    found = offset_of(echoes)
    assert abs(found.offset_s - offset_us / 1e6) <= found.uncertainty_s + 1e-6
    assert found.uncertainty_s <= min(echo.back_s - echo.sent_s for echo in echoes) / 2 + 1e-6
    if offset_us == 0:
        assert found.applied_s == 0.0 or found.uncertainty_s < 1e-6


def test_one_clock_is_shared_and_nothing_is_added_to_it() -> None:
    found = offset_of([Echo(10.0, 10.0003, 10.001), Echo(11.0, 11.0011, 11.0012)])
    assert found.shared
    assert found.applied_s == 0.0


def test_two_clocks_are_not_shared_and_the_quickest_way_says_most() -> None:
    found = offset_of([Echo(10.0, 510.04, 10.1), Echo(11.0, 511.001, 11.002)])
    assert not found.shared
    assert found.applied_s == found.offset_s == pytest.approx(500.0, abs=0.0011)
    assert found.uncertainty_s == pytest.approx(0.001)


ELSEWHERE = """
import time

_here = time.monotonic
time.monotonic = lambda: _here() + 1000.0  # as a host has it that was started that much earlier

from loadtests.locustfile import *
"""


def test_rows_of_a_host_with_another_clock_are_on_the_run_clock(tmp_path: Path, free_port: int) -> None:
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    rows, summary = tmp_path / "rows.jsonl", tmp_path / "load.json"
    common = (sys.executable, "-m", "locust", "--headless", "--locustfile")
    here = ("--master-host", "127.0.0.1", "--master-port", str(free_port))
    with ScriptedServer() as server, (tmp_path / "log").open("w") as log:
        offered = ("--host", server.url(), "--rate", "40", "--duration", "1", "--rows", str(rows))
        ours, master = "loadtests/locustfile.py", ("--master", "--expect-workers=2")
        bound = ("--master-bind-host", "127.0.0.1", "--master-bind-port", str(free_port))
        commands = (
            (*common, ours, *master, *bound),
            (*common, ours, "--worker", *here),
            (*common, str(tmp_path / "elsewhere.py"), "--worker", *here),
        )
        processes = [
            subprocess.Popen(
                [*command, *offered, "--summary", str(summary)], cwd=ROOT, stdout=log, stderr=log
            )
            for command in commands
        ]
        try:
            assert processes[0].wait(60) == 0, (tmp_path / "log").read_text()
        finally:
            for process in processes:
                process.kill()
                process.wait()

    said = json.loads(summary.read_text())
    here_, elsewhere = sorted(said["clocks"], key=lambda clock: clock["offset_s"])
    assert here_["shared"]
    assert here_["offset_s"] == pytest.approx(0.0, abs=here_["uncertainty_s"])
    assert not elsewhere["shared"]
    assert elsewhere["offset_s"] == pytest.approx(1000.0, abs=elsewhere["uncertainty_s"] + 1e-6)
    assert 0 < elsewhere["uncertainty_s"] < 0.1
    assert said["lost_workers"] == []
    played = list(read_rows(rows))
    assert {row.index % 2 for row in played} == {0, 1}
    assert len(played) == said["planned"]
    assert all(row.lag_s is not None and -0.1 < row.lag_s < 5 for row in played)
