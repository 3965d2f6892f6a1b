import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from chaos.errors import InconclusiveError
from chaos.load import Load, LoadConfig, LoadSummary
from loadtests.rows import Row, read_rows
from tests.conftest import Eventually
from tests.support.scripted_server import ScriptedServer


@pytest.fixture
def config(tmp_path: Path) -> LoadConfig:
    return LoadConfig(
        url="http://127.0.0.1:1",
        model="tiny",
        rate_per_s=40.0,
        duration_s=1.0,
        seed=5,
        rows_path=tmp_path / "requests.jsonl",
        summary_path=tmp_path / "load.json",
        log_path=tmp_path / "locust.log",
    )


def rows_of(config: LoadConfig, summary: LoadSummary) -> list[Row]:
    """The rows by intended start, after seeing that every planned arrival has exactly one."""
    rows = sorted(read_rows(config.rows_path), key=lambda row: row.index)
    assert [row.index for row in rows] == list(range(summary.planned))
    assert all(earlier.intended_s <= later.intended_s for earlier, later in pairwise(rows))
    return rows


def test_a_load_runs_from_its_stated_start_to_its_last_row(config: LoadConfig) -> None:
    with ScriptedServer() as server, Load(dataclasses.replace(config, url=server.url(), model="")) as load:
        asked_s = time.monotonic()
        started = load.start()
        assert asked_s < started.start_monotonic_s < time.monotonic() + 1
        assert (started.state, started.model, started.rows) == ("running", "tiny", None)
        live = load.new_rows()
        while load.poll():
            live += load.new_rows()
            time.sleep(0.01)
        live += load.new_rows()
        summary = load.wait(within_s=30)

    rows = rows_of(config, summary)
    assert Counter(row.outcome for row in rows) == {"ok": summary.planned}
    assert sorted(live, key=lambda row: row.index) == rows
    assert (summary.state, summary.rows, summary.dropped, summary.censored) == (
        "finished",
        summary.planned,
        0,
        0,
    )
    assert summary.lag is not None
    assert summary.lag.dispatch_p99_s is not None
    assert b'"ignore_eos":true' in server.requests[-1][2]


def test_a_server_that_is_down_from_the_start_is_refusals_and_not_an_error(
    config: LoadConfig, free_port: int
) -> None:
    with Load(dataclasses.replace(config, url=f"http://127.0.0.1:{free_port}")) as load:
        load.start()
        summary = load.wait(within_s=30)
    assert Counter(row.outcome for row in rows_of(config, summary)) == {"connect_refused": summary.planned}


def test_above_its_limit_the_load_drops_arrivals_and_counts_them(config: LoadConfig) -> None:
    with (
        ScriptedServer() as server,
        Load(dataclasses.replace(config, url=server.url("ok-5-50"), max_in_flight=1)) as load,
    ):
        load.start()
        summary = load.wait(within_s=30)
    outcomes = Counter(row.outcome for row in rows_of(config, summary))
    assert set(outcomes) == {"ok", "client_dropped"}
    assert (outcomes["client_dropped"], 1) == (summary.dropped, summary.peak_in_flight)


def test_a_load_that_is_stopped_early_leaves_a_row_for_every_arrival(
    config: LoadConfig, eventually: Eventually
) -> None:
    with (
        ScriptedServer() as server,
        Load(dataclasses.replace(config, url=server.url("ok-5-50"), duration_s=60.0)) as load,
    ):
        load.start()
        eventually(lambda: len(server.requests) > 20, within_s=30, what="load under way")
        load.stop()
        load.stop()
        assert not load.poll()
        summary = load.wait(within_s=0)
    outcomes = Counter(row.outcome for row in rows_of(config, summary))
    assert set(outcomes) == {"ok", "censored"}
    assert outcomes["censored"] == summary.censored


def test_a_child_that_dies_during_its_plan_makes_the_run_inconclusive(
    config: LoadConfig, eventually: Eventually
) -> None:
    with (
        ScriptedServer() as server,
        Load(dataclasses.replace(config, url=server.url(), duration_s=60.0)) as load,
    ):
        load.start()
        eventually(load.new_rows, within_s=30, what="the first row")
        assert load._child is not None
        load._child.kill()
        with pytest.raises(InconclusiveError, match=rf"exit code -9; log: {config.log_path}") as failure:
            load.wait(within_s=10)
    assert "Offering" in str(failure.value.hint), "the tail of the log"


def test_a_load_that_cannot_start_says_why(config: LoadConfig, free_port: int) -> None:
    nowhere = dataclasses.replace(config, url=f"http://127.0.0.1:{free_port}", model="")
    with (
        Load(nowhere) as load,
        pytest.raises(InconclusiveError, match=r"did not start: exit code 1; log: ") as failure,
    ):
        load.start()
    assert "cannot learn the model" in str(failure.value.hint)


def test_a_load_that_is_silent_for_too_long_is_ended(config: LoadConfig) -> None:
    with Load(config) as load, pytest.raises(InconclusiveError, match=r"nothing within 0\.01 s"):
        load.start(within_s=0.01)
    assert load._child is not None
    assert load._child.returncode is not None


def test_a_load_that_goes_on_for_too_long_is_told(config: LoadConfig) -> None:
    with ScriptedServer() as server, Load(dataclasses.replace(config, url=server.url("silent"))) as load:
        load.start()
        with pytest.raises(InconclusiveError, match=r"has not ended within 0\.1 s"):
            load.wait(within_s=0.1)


def test_configuration_of_other_locust_users_does_not_reach_the_child(
    config: LoadConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "locust.conf").write_text("processes = 3\nrate = 1000\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("LOCUST_PROCESSES", "3")
    with ScriptedServer() as server, Load(dataclasses.replace(config, url=server.url())) as load:
        load.start()
        assert load._child is not None
        assert psutil.Process(load._child.pid).children() == []
        assert load.wait(within_s=30).planned < 100


RUNNER = """
import sys, time
from pathlib import Path
from chaos.load import Load, LoadConfig
url, folder = sys.argv[1], Path(sys.argv[2])
load = Load(LoadConfig(url=url, model="tiny", rate_per_s=20.0, duration_s=60.0, seed=1, rows_path=folder / "rows",
                       summary_path=folder / "load.json", log_path=folder / "log"))
load.start()
print(load._child.pid, flush=True)
time.sleep(60)
"""


def test_a_runner_that_is_killed_takes_its_load_with_it(tmp_path: Path, eventually: Eventually) -> None:
    with ScriptedServer() as server:
        runner = subprocess.Popen(
            [sys.executable, "-c", RUNNER, server.url(), str(tmp_path)], stdout=subprocess.PIPE
        )
        assert runner.stdout is not None
        with runner.stdout:
            child = psutil.Process(int(runner.stdout.readline()))
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
        eventually(lambda: not child.is_running(), within_s=30, what="the end of the load")


def test_without_a_silence_every_arrival_is_ok(config: LoadConfig) -> None:
    with (
        ScriptedServer() as server,
        Load(dataclasses.replace(config, url=server.url(), rate_per_s=200.0, duration_s=2.0)) as load,
    ):
        load.start()
        summary = load.wait(within_s=30)
    assert Counter(row.outcome for row in rows_of(config, summary)) == {"ok": summary.planned}
