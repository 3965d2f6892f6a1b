import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.display.live import LiveView
from chaos.display.progress import QuietProgress
from chaos.errors import ExitCode, InconclusiveError
from chaos.load.process import Load, LoadConfig, LoadSummary
from chaos.publishing.budgets import Budgets
from chaos.publishing.load_series import LoadCollector
from chaos.record.rows_file import read_columns
from chaos.run_folder import RunFolder
from exporters.slo import OBJECTIVES
from loadtests.parts import parts_of
from loadtests.plan import Plan
from loadtests.rows import Row, read_rows
from tests.conftest import Eventually, has_ended
from tests.support.fake_target import FakeTarget
from tests.support.scripted_server import ScriptedServer


@pytest.fixture
def config(tmp_path: Path) -> LoadConfig:
    return LoadConfig(
        url="http://127.0.0.1:1",
        model="tiny",
        rate_per_s=40.0,
        duration_s=1.0,
        seed=5,
        plan_path=tmp_path / "plan.jsonl",
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
    with ScriptedServer() as server, Load(config.but(url=server.url(), model="")) as load:
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
    with Load(config.but(url=f"http://127.0.0.1:{free_port}")) as load:
        load.start()
        summary = load.wait(within_s=30)
    assert Counter(row.outcome for row in rows_of(config, summary)) == {"connect_refused": summary.planned}


def test_above_its_limit_the_load_drops_arrivals_and_counts_them(config: LoadConfig) -> None:
    with (
        ScriptedServer() as server,
        Load(config.but(url=server.url("ok-5-50"), output_tokens=5, max_in_flight=1)) as load,
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
        Load(config.but(url=server.url("ok-5-50"), output_tokens=5, duration_s=60.0)) as load,
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
        Load(config.but(url=server.url(), duration_s=60.0)) as load,
    ):
        load.start()
        eventually(load.new_rows, within_s=30, what="the first row")
        assert load._child is not None
        load._child.kill()
        with pytest.raises(InconclusiveError, match=rf"exit code -9; log: {config.log_path}") as failure:
            load.wait(within_s=10)
    assert "Offering" in str(failure.value.hint), "the tail of the log"


def test_a_load_that_dies_before_its_first_row_is_no_fault_of_the_input(config: LoadConfig) -> None:
    folder = RunFolder(config.rows_path.parent)
    with ScriptedServer() as server, Load(config.but(url=server.url("silent"), duration_s=60.0)) as load:
        load.start()
        os.kill(load.pids[0], signal.SIGKILL)
        with pytest.raises(InconclusiveError, match="exit code -9") as failure:
            load.wait(within_s=10)
    assert failure.value.exit_code == ExitCode.INCONCLUSIVE
    assert len(read_columns(folder.requests)) == 0, "nothing was measured, and nothing is wrong with the file"
    assert len(Plan.read(folder.plan).arrivals) > 2000, "what would have been asked is there"


def test_the_plan_is_on_disk_before_the_load_and_is_what_the_load_plays(config: LoadConfig) -> None:
    with ScriptedServer() as server, Load(config.but(url=server.url())) as load:
        plan = Plan.read(config.plan_path)
        assert plan == load.plan == Plan.of(config)
        assert load.pids == []
        assert load.start().plan_sha256 == plan.sha256
        summary = load.wait(within_s=30)
    assert [row.intended_s for row in rows_of(config, summary)] == [round(at_s, 6) for at_s in plan.offsets_s]


def test_a_plan_that_was_exchanged_before_the_load_began_is_noticed(config: LoadConfig) -> None:
    with ScriptedServer() as server, Load(config.but(url=server.url())) as load:
        Plan.of(config.but(seed=6)).write(config.plan_path)
        with pytest.raises(InconclusiveError, match=f"plays another plan than {config.plan_path}"):
            load.start()


def test_the_rows_of_all_processes_are_seen_while_they_run_and_are_one_file_in_the_end(
    config: LoadConfig, eventually: Eventually
) -> None:
    with ScriptedServer() as server:
        settings = config.but(url=server.url(), processes=2, duration_s=60.0, rate_per_s=100.0)
        with Load(settings) as load:
            series = LoadCollector(settings, Budgets("x", OBJECTIVES))
            shown = Shown()
            view = LiveView(load, FakeTarget(), shown, lambda: None)
            zero_s = load.start().start_monotonic_s
            series.begin(zero_s)
            assert len(load.pids) == 3

            def told() -> set[int]:
                view.look(time.monotonic() - zero_s)
                return {row.index % 2 for row in view.rows}

            eventually(lambda: told() == {0, 1}, within_s=60, what="rows of both workers in the gate's view")
            eventually(lambda: ended(series) > 20, within_s=30, what="rows of both in the live series")
            told()
            assert ended(series) >= len(view.rows) > 0
            assert shown.facts["errors"] == 0
            assert shown.facts["ttft_p99_s"] is not None
            assert not config.rows_path.exists(), "each process has a file of its own"
            load.stop()
            view.rows += load.new_rows()
    rows = list(read_rows(config.rows_path))
    assert [row.index for row in rows] == list(range(len(load.plan.arrivals))), "by index, none twice"
    assert sorted(row.index for row in view.rows) == [row.index for row in rows]
    assert {row.outcome for row in rows} == {"ok", "censored"}
    assert not list(config.rows_path.parent.glob("requests.jsonl.*"))


class Shown(QuietProgress):
    """A display that keeps what it was told last."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.facts: dict[str, Any] = {}

    def update(self, **facts: Any) -> None:
        self.facts |= facts


def ended(series: LoadCollector) -> float:
    """The requests that the live series count, whatever came of them."""
    families = {family.name: family for family in series.collect()}
    return sum(
        sample.value for sample in families["ds_load_requests"].samples if sample.name.endswith("_total")
    )


def test_a_process_of_several_that_dies_is_noticed_and_the_rows_of_the_others_stay(
    config: LoadConfig, eventually: Eventually
) -> None:
    settings = config.but(processes=2, duration_s=60.0, rate_per_s=100.0)
    with ScriptedServer() as server, Load(settings.but(url=server.url())) as load:
        load.start()
        seen: list[Row] = []

        def both() -> bool:
            seen.extend(load.new_rows())
            return {row.index % 2 for row in seen} == {0, 1}

        eventually(both, within_s=60, what="rows of both")
        worker = psutil.Process(load.pids[1])
        worker.kill()
        eventually(partial(has_ended, worker), within_s=10, what="its end")
        with pytest.raises(InconclusiveError, match=f"ended before its plan: pid {worker.pid}; log: "):
            load.poll()
    indices = read_columns(config.rows_path).index.tolist()
    assert {row.index for row in seen} <= set(indices)
    assert len(indices) == len(set(indices)) < len(load.plan.arrivals)


def test_the_rows_of_several_are_one_file_also_where_their_master_was_killed(
    config: LoadConfig, eventually: Eventually
) -> None:
    settings = config.but(processes=2, duration_s=60.0, rate_per_s=100.0)
    with ScriptedServer() as server, Load(settings.but(url=server.url())) as load:
        load.start()
        eventually(load.new_rows, within_s=60, what="the first row")
        master, *workers = map(psutil.Process, load.pids)
        master.kill()
        for worker in workers:
            eventually(partial(has_ended, worker), within_s=30, what="the end of what it had forked")
        with pytest.raises(InconclusiveError, match="ended before its plan"):
            load.poll()
    rows = list(read_rows(config.rows_path))
    assert rows
    assert [row.index for row in rows] == sorted({row.index for row in rows})
    assert parts_of(config.rows_path) == []


def test_several_processes_end_with_their_plan_and_are_asked_to_offer_nothing_more(
    config: LoadConfig, eventually: Eventually
) -> None:
    settings = config.but(processes=2, duration_s=60.0)
    with ScriptedServer() as server, Load(settings.but(url=server.url())) as load:
        load.start()
        eventually(load.new_rows, within_s=60, what="the first row")
        load.close()
        summary = load.wait(within_s=30)
    outcomes = Counter(row.outcome for row in rows_of(config, summary))
    assert set(outcomes) == {"ok", "censored"}
    assert outcomes["censored"] == summary.censored
    assert summary.lag is not None
    assert summary.lag.hub_p99_s is not None


def test_a_load_that_cannot_start_says_why(config: LoadConfig, free_port: int) -> None:
    nowhere = config.but(url=f"http://127.0.0.1:{free_port}", model="")
    with (
        Load(nowhere) as load,
        pytest.raises(
            InconclusiveError, match=r"did not start: exit code 1 \(.*cannot learn the model.*\); log: "
        ) as failure,
    ):
        load.start()
    assert "cannot learn the model" in str(failure.value.hint)


def test_a_load_whose_interpreter_fails_says_with_which_exception(config: LoadConfig) -> None:
    broken = config.but(marks={"PYTHONPATH": str(config.rows_path.parent)})
    (config.rows_path.parent / "gevent.py").write_text("raise MemoryError('not even gevent')\n")
    with (
        Load(broken) as load,
        pytest.raises(InconclusiveError, match=r"exit code 1 \(MemoryError: not even gevent\); log"),
    ):
        load.start()


def test_a_load_that_is_silent_for_too_long_is_ended(config: LoadConfig) -> None:
    with Load(config) as load, pytest.raises(InconclusiveError, match=r"nothing within 0\.01 s"):
        load.start(within_s=0.01)
    assert load._child is not None
    assert load._child.returncode is not None


def test_a_load_that_goes_on_for_too_long_is_told(config: LoadConfig) -> None:
    with ScriptedServer() as server, Load(config.but(url=server.url("silent"))) as load:
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
    with ScriptedServer() as server, Load(config.but(url=server.url())) as load:
        load.start()
        assert load._child is not None
        assert psutil.Process(load._child.pid).children() == []
        assert load.wait(within_s=30).planned < 100


RUNNER = """
import sys, time
from pathlib import Path
from chaos.load.process import Load, LoadConfig
url, folder = sys.argv[1], Path(sys.argv[2])
config = LoadConfig(url=url, model="tiny", rate_per_s=20.0, duration_s=60.0, seed=1, plan_path=folder / "plan.jsonl",
                    rows_path=folder / "rows", summary_path=folder / "load.json", log_path=folder / "log",
                    processes=int(sys.argv[3]))
with Load(config) as load:
    load.start()
    print(*load.pids, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_a_runner_that_is_killed_takes_its_load_with_it(
    tmp_path: Path, eventually: Eventually, processes: int
) -> None:
    with ScriptedServer() as server:
        runner = subprocess.Popen(
            [sys.executable, "-c", RUNNER, server.url(), str(tmp_path), str(processes)],
            stdout=subprocess.PIPE,
        )
        assert runner.stdout is not None
        with runner.stdout:
            load = [psutil.Process(int(pid)) for pid in runner.stdout.readline().split()]
        assert len(load) == (1 if processes == 1 else 1 + processes)
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
        for process in load:
            eventually(partial(has_ended, process), within_s=30, what="the end of the load")


def test_without_a_silence_every_arrival_is_ok(config: LoadConfig) -> None:
    with (
        ScriptedServer() as server,
        Load(config.but(url=server.url(), rate_per_s=200.0, duration_s=2.0)) as load,
    ):
        load.start()
        summary = load.wait(within_s=30)
    assert Counter(row.outcome for row in rows_of(config, summary)) == {"ok": summary.planned}
