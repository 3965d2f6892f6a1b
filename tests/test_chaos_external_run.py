"""A whole run against somebody else's service, its fault made of commands; also when it is killed half-way."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.reading.documents import dump
from loadtests.rows import read_rows
from tests.conftest import Eventually
from tests.support.scripted_server import ScriptedServer

_RUN = (sys.executable, "-m", "chaos")


@pytest.fixture(autouse=True)
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "aftershock" / "faults"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server in this process: a command stops it by stopping the test's own helper, see `commands`."""
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def paused(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Somebody's service, in a process that a command can stop and continue."""
    port = tmp_path / "port"
    code = (
        "import pathlib, sys, threading\n"
        "from tests.support.scripted_server import ScriptedServer\n"
        "with ScriptedServer() as server:\n"
        f"    pathlib.Path({str(port)!r}).write_text(server.url())\n"
        "    threading.Event().wait()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent.parent)
    try:
        yield child
    finally:
        child.kill()
        child.wait(10)


def experiment(folder: Path, url: str, pid: int, **changes: Any) -> Path:
    state = f"ps -o stat= -p {pid}"
    manifest = {
        "apiVersion": "aftershock.dev/v1alpha1",
        "kind": "Command",
        "metadata": {"name": "pause"},
        "spec": {
            "do": ["kill", "-STOP", str(pid)],
            "prove": ["sh", "-c", f"{state} | grep -q ^T"],
            "undo": ["kill", "-CONT", str(pid)],
            "duration": "2s",
            **changes.pop("spec", {}),
        },
    }
    (folder / "pause.yaml").write_text(dump(manifest))
    values = {
        "experiment": "pause",
        "hypothesis": "A pause of two seconds is over when it is over.",
        "seed": 1,
        "target": {"external": {"url": url}},
        "load": {"rate": 60, "arrivals": "constant", "timeouts": {"ttft": "4s", "deadline": "8s"}},
        "phases": {"warmup": "1s", "baseline": "4s", "observe": "9s"},
        "fault": {"manifest": "pause.yaml", "max_targets": 1},
        "slo": {"ttft": "500ms", "e2e": "1s"},
        "recovery": {"window": "1s", "hold": "2s", "within": "5s"},
        "assertions": ["recovery.service <= 4s", "recovery.service_after_end <= 2s", "disturbances == 1"],
        **changes,
    }
    path = folder / "experiment.yaml"
    path.write_text(dump(values))
    return path


def url_of(folder: Path, eventually: Eventually) -> str:
    return str(
        eventually(
            lambda: (folder / "port").is_file() and (folder / "port").read_text(),
            within_s=20,
            what="the service",
        )
    )


def stopped(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.startswith("T")


def journal_of(path: Path, folder: Path, *, exits: int) -> tuple[dict[str, Any], str]:
    """Run an experiment to its end; its journal, and what the terminal said of it."""
    command = [*_RUN, "run", str(path), "--out", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == exits, ended.stderr + ended.stdout
    return json.loads((folder / "journal.json").read_text()), ended.stdout


def faulty(folder: Path, url: str, pid: int, eventually: Eventually) -> "subprocess.Popen[bytes]":
    """A run whose fault is in force, and will be for long."""
    spec, phases = {"duration": "60s"}, {"warmup": "1s", "baseline": "3s", "observe": "80s"}
    path = experiment(folder, url, pid, spec=spec, phases=phases)
    running = subprocess.Popen([*_RUN, "run", str(path), "--out", str(folder / "run")])
    eventually(lambda: stopped(pid), within_s=60, what="the fault")
    return running


def test_a_fault_made_of_commands_is_injected_proved_undone_and_recovered_from(
    paused: "subprocess.Popen[bytes]", tmp_path: Path, record: Path, eventually: Eventually
) -> None:
    url = url_of(tmp_path, eventually)
    path, folder = experiment(tmp_path, url, paused.pid), tmp_path / "run"
    journaled, said = journal_of(path, folder, exits=0)
    [fault] = journaled["faults"]
    assert (fault["kind"], fault["fidelity"], fault["plane"]) == ("Command", "exact", "application")
    assert (fault["verified"], fault["targets"], fault["candidates"]) == (True, ["the service"], 1)
    assert fault["ended_s"] - fault["started_s"] == pytest.approx(2.0, abs=0.8)
    [one] = journaled["disturbances"]
    assert one["start_s"] == pytest.approx(fault["started_s"], abs=0.6)
    assert journaled["recovery"]["capacity_s"] is None
    took_s, recovery = one["ended_s"] - fault["started_s"], journaled["recovery"]
    if (
        recovery["service_s"] is None
    ):  # a busy machine made a stretch behind it unknown: then the interval is all
        low_s, high_s = map(float, recovery["service_interval_s"])
        assert low_s <= took_s <= high_s, recovery
    else:
        assert recovery["service_s"] == pytest.approx(took_s, abs=0.01)
    assert "after the service had a command run on it" in " ".join(said.split())
    assert not list(record.iterdir())
    again = subprocess.run([*_RUN, "report", str(folder)], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr


def test_its_control_is_injected_into_nobody_and_proves_nothing(
    paused: "subprocess.Popen[bytes]", tmp_path: Path, eventually: Eventually
) -> None:
    url = url_of(tmp_path, eventually)
    fault = {"manifest": "pause.yaml", "max_targets": 1, "control": True}
    path, folder = experiment(tmp_path, url, paused.pid, fault=fault), tmp_path / "run"
    journaled, _ = journal_of(path, folder, exits=3)
    assert [fault["verified"] for fault in journaled["faults"]] == [False]
    assert journaled["disturbances"] == []
    log = (folder / "logs" / "pause#1.log").read_text()
    assert "-STOP" not in log


def test_a_run_that_is_killed_under_its_fault_leaves_the_service_as_it_was(
    paused: "subprocess.Popen[bytes]", tmp_path: Path, record: Path, eventually: Eventually
) -> None:
    url = url_of(tmp_path, eventually)
    running = faulty(tmp_path, url, paused.pid, eventually)
    running.send_signal(signal.SIGKILL)
    running.wait(10)
    eventually(lambda: not stopped(paused.pid), within_s=30, what="its undoing")
    eventually(lambda: not list(record.glob("*.json")), within_s=30, what="an empty record")
    assert paused.poll() is None, "the service lives, and goes on"


def test_an_interrupted_run_undoes_its_fault(
    paused: "subprocess.Popen[bytes]", tmp_path: Path, record: Path, eventually: Eventually
) -> None:
    url = url_of(tmp_path, eventually)
    running = faulty(tmp_path, url, paused.pid, eventually)
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(60) == 130
    assert not stopped(paused.pid)
    assert not list(record.iterdir())


@pytest.mark.slow
def test_a_process_of_the_load_that_is_killed_ends_the_run_without_a_verdict_and_with_the_reason(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    offered = {"rate": 60, "arrivals": "constant", "processes": 2}
    path, folder = (
        experiment(tmp_path, server.url(), 1, load=offered, assertions=["disturbances == 0"]),
        tmp_path / "run",
    )
    values = path.read_text()
    begins, ends = values.index("fault:"), values.index("slo:")
    path.write_text(values[:begins] + "faults: []\n" + values[ends:])
    running = subprocess.Popen([*_RUN, "run", str(path), "--out", str(folder)])
    written = [folder / f"requests.jsonl.{number}" for number in (0, 1)]
    eventually(
        lambda: all(part.is_file() and part.stat().st_size > 2000 for part in written),
        within_s=60,
        what="rows of both processes",
    )
    family = psutil.Process(running.pid).children(recursive=True)
    worker = max(family, key=lambda each: (len(each.parents()), each.pid))
    worker.kill()
    assert running.wait(60) == 3
    journaled = json.loads((folder / "journal.json").read_text())
    assert journaled["verdict"] == "inconclusive"
    assert f"a process of the load ended before its plan: pid {worker.pid}" in journaled["cut_short"]
    assert {row.index % 2 for row in read_rows(folder / "requests.jsonl")} == {0, 1}, "what there is, is kept"


@pytest.mark.slow
def test_an_experiment_that_injects_nothing_says_so_and_is_an_observation(
    server: ScriptedServer, tmp_path: Path
) -> None:
    path = experiment(tmp_path, server.url(), 1, assertions=["disturbances == 0"])
    values = path.read_text()
    begins, ends = values.index("fault:"), values.index("slo:")
    path.write_text(values[:begins] + "faults: []\n" + values[ends:])
    folder = tmp_path / "run"
    journaled, _ = journal_of(path, folder, exits=0)
    assert [phase["name"] for phase in journaled["phases"]] == ["observation"]
    assert len(list(read_rows(folder / "requests.jsonl"))) == 14 * 60


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"assertions": ["recovery.capacity <= 9s"]}, "expected no claim about replicas"),
        ({"assertions": ["ready(min, all) >= 1"]}, "the target external cannot see them"),
        ({"phases": {"baseline": "0s", "observe": "9s"}}, "phases.baseline: expected above zero"),
        ({"target": {"external": {"url": "localhost"}}}, "expected a base URL such as http://127.0.0.1:8000"),
        ({"spec": {"prove": []}}, "spec.prove: expected a list of at least 1"),
        ({"spec": {"selector": {}}}, "spec.selector: unknown key"),
    ],
)
def test_what_makes_no_sense_on_an_external_target_is_refused(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    path = experiment(tmp_path, "http://127.0.0.1:1", 1, **changes)
    said = subprocess.run([*_RUN, "validate", str(path)], capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert complaint in said.stderr


def test_a_fault_that_selects_replicas_is_refused_where_none_can_be_seen(tmp_path: Path) -> None:
    kill = Path(__file__).parent.parent / "chaos" / "manifests" / "pod-kill-30.yaml"
    path = experiment(tmp_path, "http://127.0.0.1:1", 1, fault={"manifest": str(kill), "max_targets": 3})
    said = subprocess.run([*_RUN, "validate", str(path)], capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert "expected a fault that the target external can inject" in said.stderr
