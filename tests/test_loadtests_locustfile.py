import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadtests.plan import Arrival, Plan
from loadtests.rows import Row, read_rows
from loadtests.spec import LoadSpec, Process
from tests.conftest import Eventually
from tests.support.scripted_server import ScriptedServer

ROOT = Path(__file__).parent.parent
Locust = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def locust(tmp_path: Path) -> Iterator[Locust]:
    """Starts `locust` in the repository root, as a person would; whatever is left of it at the end is killed."""
    children: list[subprocess.Popen[bytes]] = []

    def start(*options: object, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        with (tmp_path / "log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "locust", *map(str, options)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "OPENAI_API_KEY": "sk-secret"},
                pass_fds=pass_fds,
            )
        children.append(child)
        return child

    yield start
    for child in children:
        if child.poll() is None:
            child.kill()
        child.wait()


def poisson(rate_per_s: float, duration_s: float, seed: int, arrivals: Process = "poisson") -> Plan:
    """The plan that these options describe."""
    return Plan.of(
        LoadSpec(url="", rate_per_s=rate_per_s, duration_s=duration_s, seed=seed, arrivals=arrivals)
    )


def planned(rows: list[Row], plan: Plan) -> bool:
    """Exactly one row per planned arrival, each with its own intended start."""
    by_index = {row.index: row.intended_s for row in rows}
    wanted = {index: round(offset_s, 6) for index, offset_s in enumerate(plan.offsets_s)}
    return len(rows) == len(wanted) and by_index == wanted


def test_headless_alone_plays_the_plan_and_ends_with_zero(locust: Locust, tmp_path: Path) -> None:
    rows, summary = tmp_path / "rows.jsonl", tmp_path / "load.json"
    with ScriptedServer() as server:
        options = ["--headless", "--host", server.url(), "-u", 1, "--rate", 40, "--duration", 1, "--seed", 5]
        child = locust(*options, "--rows", rows, "--summary", summary)
        assert child.wait(30) == 0
        _, headers, body = server.requests[-1]

    plan = poisson(40.0, 1.0, 5)
    assert planned(list(read_rows(rows)), plan)
    assert {row.outcome for row in read_rows(rows)} == {"ok"}
    finished = json.loads(summary.read_text())
    assert (finished["state"], finished["planned"], finished["plan_sha256"]) == (
        "finished",
        len(plan.offsets_s),
        plan.sha256,
    )
    assert headers["authorization"] == "bearer sk-secret"
    asked = json.loads(body)
    assert (asked["model"], len(asked["messages"][0]["content"]), asked["max_tokens"]) == ("tiny", 64, 32)
    assert "sk-secret" not in (tmp_path / "log").read_text() + rows.read_text() + summary.read_text()


def test_a_plan_from_a_file_is_played_as_it_stands_in_the_file(locust: Locust, tmp_path: Path) -> None:
    plan = Plan((Arrival(0, 0.1, 10, 3, 1), Arrival(1, 0.2, 200, 5, 2)))
    plan.write(tmp_path / "plan.jsonl")
    rows, summary = tmp_path / "rows.jsonl", tmp_path / "load.json"
    with ScriptedServer() as server:
        options = ["--headless", "--host", server.url(), "--rate", 40, "--duration", 1, "--prompt-tokens", 64]
        child = locust(*options, "--plan", tmp_path / "plan.jsonl", "--rows", rows, "--summary", summary)
        assert child.wait(30) == 0
        asked = [json.loads(body) for _, _, body in server.requests if body]
    assert planned(list(read_rows(rows)), plan)
    assert json.loads(summary.read_text())["plan_sha256"] == plan.sha256
    lengths = [(len(each["messages"][0]["content"]), each["max_tokens"]) for each in asked]
    assert sorted(lengths) == [(10, 3), (200, 5)]


def test_a_worker_whose_plan_is_another_one_plays_nothing(
    locust: Locust, tmp_path: Path, eventually: Eventually
) -> None:
    plan, rows, summary = tmp_path / "plan.jsonl", tmp_path / "rows.jsonl", tmp_path / "load.json"
    os.mkfifo(plan)  # each who reads it gets what is written for them
    with ScriptedServer() as server:
        options = ["--headless", "--host", server.url(), "--duration", 1, "--model", "tiny"]
        child = locust(*options, "--plan", plan, "--rows", rows, "--summary", summary)
        plan.write_text(Arrival(0, 0.1, 10, 3, 1).line + "\n")
        eventually(summary.exists, within_s=30, what="the plan that the master read")
        plan.write_text(Arrival(0, 0.2, 10, 3, 1).line + "\n")
        assert child.wait(30) == 1
        assert [body for _, _, body in server.requests if body] == []
    assert "the plan made here is not the master's" in (tmp_path / "log").read_text()


def test_a_file_that_is_no_plan_is_a_clear_message(locust: Locust, tmp_path: Path) -> None:
    (tmp_path / "plan.jsonl").write_text("no plan\n")
    child = locust(
        "--headless", "--host", "http://127.0.0.1:1", "--model", "m", "--plan", tmp_path / "plan.jsonl"
    )
    assert child.wait(30) == 1
    assert f"{tmp_path / 'plan.jsonl'}: line 1 is no arrival" in (tmp_path / "log").read_text()


def test_without_a_model_an_unreachable_server_is_a_clear_message(
    locust: Locust, free_port: int, tmp_path: Path
) -> None:
    child = locust("--headless", "--host", f"http://127.0.0.1:{free_port}", "--duration", 1)
    assert child.wait(30) == 1
    assert (
        f"cannot learn the model from http://127.0.0.1:{free_port}/v1/models; name it with --model"
        in (tmp_path / "log").read_text()
    )


@contextmanager
def two_processes(locust: Locust, tmp_path: Path, port: int, url: str, **options: float) -> Iterator[Any]:
    flags = [f"--{name}={value}" for name, value in options.items()]
    ports = ["--master-bind-port", port, "--master-port", port, "--master-bind-host", "127.0.0.1"]
    files = ["--rows", tmp_path / "rows.jsonl", "--summary", tmp_path / "load.json"]
    yield locust("--headless", "--host", url, "--processes", 2, *ports, *flags, *files)


def test_two_processes_play_one_plan_between_them(locust: Locust, tmp_path: Path, free_port: int) -> None:
    with (
        ScriptedServer() as server,
        two_processes(locust, tmp_path, free_port, server.url(), rate=50, duration=1, seed=5) as master,
    ):
        assert master.wait(60) == 0
    rows = list(read_rows(tmp_path / "rows.jsonl"))
    assert planned(rows, poisson(50.0, 1.0, 5))
    assert {row.outcome for row in rows} == {"ok"}
    assert json.loads((tmp_path / "load.json").read_text())["lag"]["hub_p99_s"] is not None
    assert not list(tmp_path.glob("rows.jsonl.*"))


def test_a_worker_that_dies_is_missed_in_the_rows(
    locust: Locust, tmp_path: Path, free_port: int, eventually: Eventually
) -> None:
    with (
        ScriptedServer() as server,
        two_processes(locust, tmp_path, free_port, server.url(), rate=50, duration=3, drain=0) as master,
    ):
        eventually(lambda: len(server.requests) > 20, within_s=30, what="load under way")
        psutil.Process(master.pid).children()[0].kill()
        assert master.wait(60) == 1
    summary = json.loads((tmp_path / "load.json").read_text())
    assert summary["state"] == "finished"
    assert summary["rows"] == len(list(read_rows(tmp_path / "rows.jsonl"))) < summary["planned"]


def test_the_process_ends_when_the_pipe_of_its_parent_does(
    locust: Locust, tmp_path: Path, eventually: Eventually
) -> None:
    reading_fd, writing_fd = os.pipe()
    with ScriptedServer() as server:
        options = ["--headless", "--host", server.url(), "--duration", 60, "--rows", tmp_path / "rows.jsonl"]
        child = locust(*options, "--exit-with-parent-fd", reading_fd, pass_fds=(reading_fd,))
        os.close(reading_fd)
        eventually(lambda: server.requests[5:], within_s=30, what="load under way")
        os.close(writing_fd)
        assert child.wait(30) == 1


def fetch(url: str, form: Mapping[str, object] | None = None) -> str:
    data = urllib.parse.urlencode(form).encode() if form else None
    try:
        with urllib.request.urlopen(url, data, timeout=30) as response:
            return str(response.read().decode())
    except OSError:
        return ""


def all_planned(path: Path, plan: Plan) -> bool:
    """Whether the file has a row of each request of this plan."""
    text = path.read_text() if path.exists() else ""
    return text.count("\n") == len(plan.offsets_s) and planned(list(read_rows(path)), plan)


def test_the_web_form_has_our_options_and_starts_one_run_after_another_even_after_a_refusal(
    locust: Locust, tmp_path: Path, free_port: int, eventually: Eventually
) -> None:
    rows, ui = tmp_path / "rows.jsonl", f"http://127.0.0.1:{free_port}"
    with ScriptedServer() as server:
        child = locust(
            "--host", server.url(), "--web-host", "127.0.0.1", "--web-port", free_port, "--rows", rows
        )
        page = eventually(lambda: fetch(f"{ui}/"), within_s=30, what="the web UI")
        for option in ("rate", "arrivals", "duration", "seed", "model", "prompt_tokens", "ttft_timeout"):
            assert f'"{option}": {{' in str(page), option
        assert '"exit_with_parent_fd": {' not in str(page)

        assert json.loads(fetch(f"{ui}/swarm", {"rate": 0}))["success"]
        eventually(lambda: "cannot start" in (tmp_path / "log").read_text(), within_s=30, what="the refusal")
        eventually(
            lambda: json.loads(fetch(f"{ui}/stats/requests"))["state"] == "stopped",
            within_s=30,
            what="the end of a run that could not start",
        )

        for rate in (40, 20):
            plan = poisson(rate, 1.0, 1, "constant")
            form = {
                "rate": rate,
                "duration": 1,
                "seed": 1,
                "arrivals": "constant",
                "host": server.url("status-503"),
            }
            assert json.loads(fetch(f"{ui}/swarm", form))["success"]

            # The rows first: until the run has begun, the statistics are those of the one before.
            eventually(lambda plan=plan: all_planned(rows, plan), within_s=30, what="the rows of the run")

            def stopped(rate: int = rate) -> dict[str, Any] | None:
                stats: dict[str, Any] = json.loads(fetch(f"{ui}/stats/requests"))
                done = stats["state"] == "stopped" and stats["stats"][-1]["num_requests"] == rate
                return stats if done else None

            stats: Any = eventually(stopped, within_s=30, what="the end of the run")
            assert stats["stats"][-1]["num_failures"] == rate
            assert [error["error"] for error in stats["errors"]] == ["OutcomeError('http_503')"]
        child.terminate()
        assert child.wait(30) == 0
