"""A run says where it can be looked at, and with `--keep` it can be until somebody ends it."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from chaos.cli import main
from chaos.errors import ExitCode
from chaos.prometheus import PrometheusClient
from tests.conftest import wait_until
from tests.test_chaos_cli import SHORTER
from tests.test_chaos_run import write_experiment


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


@contextmanager
def kept(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path, Path]]:
    """A run that stays up, its folder, and what it said; gone afterwards, whatever became of it."""
    out, said = folder / "out", folder / "said"
    experiment = write_experiment(folder / "in", SHORTER)
    command = [sys.executable, "-m", "chaos", "run", str(experiment), "--out", str(out), "--keep"]
    with said.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file) as runner:
        try:
            wait_until(
                lambda: "stays up" in said.read_text() or runner.poll(), within_s=240, what="the load's end"
            )
            assert runner.poll() is None, said.read_text()
            yield runner, out, said
        finally:
            runner.kill()


def test_a_kept_run_stays_up_after_its_load_and_ends_in_order_at_ctrl_c(tmp_path: Path) -> None:
    with kept(tmp_path) as (runner, out, said):
        lines = [line for line in said.read_text().splitlines() if f"folder {out}" in line]
        assert len(lines) == 2, "at its start, and again now"
        assert lines[0] == lines[1]
        service, gateway, prometheus, dashboard = (
            re.search(rf"{name} (http://\S+?)(,|$)", lines[0])
            for name in ("service", "gateway's series", "Prometheus", "dashboard")
        )
        assert service is not None
        assert gateway is not None
        assert prometheus is not None
        assert dashboard is not None
        wait_until(lambda: answers(f"{service[1]}/v1/models"), within_s=30)
        wait_until(lambda: answers(gateway[1]), within_s=30)
        wait_until(lambda: answers(f"{prometheus[1]}/-/ready"), within_s=30)
        with urllib.request.urlopen(dashboard[1], timeout=5) as page:
            graphs = page.url
        assert re.match(rf"{re.escape(prometheus[1])}/(classic/)?graph\?", graphs), (
            "as this Prometheus spells it"
        )
        assert len(lines[0]) < 400 < len(graphs), "an address that somebody can read leads there"
        assert_every_graph_has_a_line(graphs, prometheus[1])
        client = PrometheusClient(prometheus[1])
        for family in ("ds_run_verdict", "ds_run_recovery_seconds", "ds_run_cold_start_seconds"):
            wait_until(lambda: client.instant(family, time.time()), within_s=30, what=family)  # noqa: B023
        children = psutil.Process(runner.pid).children(recursive=True)
        assert not (out / "journal.json").exists()
        runner.send_signal(signal.SIGINT)
        ended = runner.wait(90)
        assert ended in (ExitCode.PASSED, ExitCode.DEVIATED, ExitCode.INCONCLUSIVE), said.read_text()
    assert "interrupted" not in said.read_text()
    assert (out / "report.html").is_file()
    wait_until(lambda: not any(child.is_running() for child in children), within_s=30, what="nothing left")


@pytest.mark.slow
def test_of_a_kept_run_that_is_killed_nothing_is_left(tmp_path: Path) -> None:
    with kept(tmp_path) as (runner, out, _):
        children = psutil.Process(runner.pid).children(recursive=True)
        assert len(children) > 4, "supervisor, replicas, proxy, gateway, Prometheus"
        runner.kill()
        runner.wait(30)
        wait_until(
            lambda: not any(child.is_running() for child in children), within_s=60, what="nothing left"
        )
    assert not (out / "scratch").exists()


def assert_every_graph_has_a_line(dashboard: str, prometheus: str) -> None:
    """Over the run; but for the toy replicas' own latency, which they do not tell."""
    asked = {name: values[0] for name, values in parse_qs(urlsplit(dashboard).query).items()}
    expressions = [value for name, value in asked.items() if name.endswith(".expr")]
    told = [each for each in expressions if "ds_inference_latency_seconds" not in each]
    assert len(told) == len(expressions) - 1 >= 5
    now_s = time.time()
    for expression in told:
        found = PrometheusClient(prometheus).range(expression, now_s - 300, now_s, 5)
        assert found, expression


@pytest.mark.parametrize("other", [["--trials", "2"], ["--dry-run"]])
def test_only_one_run_of_one_experiment_can_be_kept(
    tmp_path: Path, other: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = write_experiment(tmp_path / "in", SHORTER)
    assert main(["run", str(experiment), "--keep", *other]) == ExitCode.WRONG_INPUT
    assert "--keep" in capsys.readouterr().err
