"""A run says where it can be looked at, and with `--keep` it can be until somebody ends it."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from chaos.cli import main
from chaos.errors import ExitCode
from chaos.prometheus import PrometheusClient
from tests.conftest import wait_until
from tests.test_chaos_cli import SHORTER
from tests.test_chaos_run import write_experiment

TEXT = (
    SHORTER.replace("observe: 20s", "observe: 12s")
    .replace("hold: 2s, within: 18s", "hold: 2s, within: 9s")
    .replace("<= 18s", "<= 9s")
)


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def test_a_kept_run_stays_up_after_its_load_and_ends_in_order_at_ctrl_c(tmp_path: Path) -> None:
    out, said = tmp_path / "out", tmp_path / "said"
    command = [
        sys.executable,
        "-m",
        "chaos",
        "run",
        str(write_experiment(tmp_path / "in", TEXT)),
        "--out",
        str(out),
    ]
    with said.open("w") as file, subprocess.Popen([*command, "--keep"], stdout=file, stderr=file) as runner:
        try:
            wait_until(
                lambda: "stays up" in said.read_text() or runner.poll(), within_s=240, what="the load's end"
            )
            assert runner.poll() is None, said.read_text()
            lines = [line for line in said.read_text().splitlines() if f"folder {out}" in line]
            assert len(lines) == 2, "at its start, and again now"
            assert lines[0] == lines[1]
            service, prometheus = (
                re.search(rf"{name} (http://\S+?)(,|$)", lines[0]) for name in ("service", "Prometheus")
            )
            assert service is not None
            assert prometheus is not None
            wait_until(lambda: answers(f"{service[1]}/v1/models"), within_s=30)
            wait_until(lambda: answers(f"{prometheus[1]}/-/ready"), within_s=30)
            client = PrometheusClient(prometheus[1])
            for family in ("ds_run_verdict", "ds_run_recovery_seconds", "ds_run_cold_start_seconds"):
                wait_until(lambda: client.instant(family, time.time()), within_s=30, what=family)  # noqa: B023
            children = psutil.Process(runner.pid).children(recursive=True)
            assert not (out / "journal.json").exists()
            runner.send_signal(signal.SIGINT)
            assert runner.wait(90) in (ExitCode.PASSED, ExitCode.DEVIATED, ExitCode.INCONCLUSIVE), (
                said.read_text()
            )
        finally:
            runner.kill()
    assert "interrupted" not in said.read_text()
    assert (out / "report.html").is_file()
    wait_until(lambda: not any(child.is_running() for child in children), within_s=30, what="nothing left")


@pytest.mark.parametrize("other", [["--trials", "2"], ["--dry-run"]])
def test_only_one_run_of_one_experiment_can_be_kept(
    tmp_path: Path, other: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = write_experiment(tmp_path / "in", TEXT)
    assert main(["run", str(experiment), "--keep", *other]) == ExitCode.WRONG_INPUT
    assert "--keep" in capsys.readouterr().err
