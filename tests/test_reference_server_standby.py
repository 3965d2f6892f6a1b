"""Replicas that are forked from a process which has imported torch: real processes, real sockets."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from reference_server.nursery import receive, send
from tests.conftest import Eventually, has_ended, wait_until
from tests.support.reference_replicas import STARTED

SERVER = [sys.executable, "-m", "reference_server"]
ENVIRON = {"DS_TORCH_THREADS": "1", "DS_MAX_RUNNING": "2"}


@contextmanager
def standby(folder: Path) -> Iterator[psutil.Popen]:
    """One that has imported everything."""
    log = folder / "standby.log"
    with log.open("wb") as stderr:
        process = psutil.Popen([*SERVER, "--standby", str(folder / "socket")], stderr=stderr)
    try:
        wait_until(lambda: "standby: imported" in log.read_text(), within_s=60, what=f"the import in {log}")
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            process.kill()
        process.wait()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[psutil.Popen, Path]]:
    folder = tmp_path_factory.mktemp("standby")
    with standby(folder) as process:
        yield process, folder / "socket"


@dataclass(frozen=True)
class Front:
    """A replica and the process in front of it."""

    process: "subprocess.Popen[bytes]"
    replica: psutil.Process
    url: str
    log: Path


@contextmanager
def front(address: Path, log: Path, *options: str, **environ: str) -> Iterator[Front]:
    # Replicas have the command line of what they are forks of, and numbers begin anew: the first is not the lowest.
    parent = min(
        (one for one in psutil.process_iter() if keeps(one, address)), key=psutil.Process.create_time
    )
    before = set(parent.children())
    ports = ["--host", "127.0.0.1", "--port", "0", "--metrics-port", "0"]
    command = [*SERVER, "--from", str(address), *ports, *options]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, env=os.environ | ENVIRON | environ, stderr=stderr)
    try:
        said = wait_until(lambda: re.search(STARTED, log.read_text()), within_s=30, what=f"start in {log}")
        assert said is not None
        (child,) = set(parent.children()) - before
        yield Front(process, child, f"http://127.0.0.1:{said[2]}", log)
    finally:
        process.kill()
        process.wait()


def run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    environ = os.environ | ENVIRON
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environ)


def keeps(process: psutil.Process, address: Path) -> bool:
    try:
        return process.cmdline()[-2:] == ["--standby", str(address)]
    except psutil.Error:
        return False


def test_a_forked_replica_serves_as_its_own_environment_and_options_say(
    shared: tuple[psutil.Popen, Path], tmp_path: Path
) -> None:
    options = ["--replica-name", "forked"]
    with front(shared[1], tmp_path / "log", *options, DS_SEED="7") as forked:
        listed = requests.get(f"{forked.url}/v1/models", timeout=10)
        assert listed.headers["x-aftershock-replica"] == "forked"
        body: dict[str, Any] = {"prompt": "Hello", "max_tokens": 16, "temperature": 0}
        text = requests.post(f"{forked.url}/v1/completions", json=body, timeout=30).json()["choices"][0][
            "text"
        ]
        with front(shared[1], tmp_path / "other") as other:
            answer = requests.post(f"{other.url}/v1/completions", json=body, timeout=30).json()
            assert answer["choices"][0]["text"] != text, "weights of another seed"
    assert "weights=random seed=7" in (tmp_path / "log").read_text()


def test_a_forked_replica_has_nothing_of_its_parent_but_its_modules(
    shared: tuple[psutil.Popen, Path], tmp_path: Path
) -> None:
    def opened(pid: int) -> set[str]:
        links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
        return {link for link in links if link.startswith(("socket:", "pipe:"))}

    parent, address = shared
    assert parent.num_threads() == 1
    with front(address, tmp_path / "log") as forked:
        child = forked.replica
        assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
        assert child.create_time() > parent.create_time()
        assert not opened(child.pid) & opened(parent.pid)
        assert Path(f"/proc/{child.pid}/fd/0").readlink() == Path(os.devnull)
        assert Path(f"/proc/{child.pid}/fd/2").readlink() == forked.log
    assert parent.num_threads() == 1


def test_children_of_one_standby_draw_different_random_numbers_and_torch_starts_as_in_a_fresh_process() -> (
    None
):
    code = """
import os, random, numpy.random, torch
from reference_server.forking import forget_parent, fork
told, tell = os.pipe()
def life():
    forget_parent(kept=[tell])
    os.write(tell, f"{random.random()} {numpy.random.random()} {torch.rand(1).item()}\\n".encode())
children = [fork(life) for _ in range(2)]
for child in children:
    os.waitpid(child, 0)
print(os.read(told, 4096).decode(), torch.rand(1).item())
"""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    first, second, fresh = (line.split() for line in said.stdout.split("\n") if line)
    assert first[0] != second[0]
    assert first[1] != second[1]
    assert first[2] == second[2] == fresh[0]


def test_a_replica_imports_nothing_heavy_that_its_standby_has_not() -> None:
    code = """
import asyncio, sys
from reference_server import nursery
nursery._preload()
before = set(sys.modules)
from reference_server.config import Settings
from reference_server.server import Server
async def start():
    server = Server(Settings(host="127.0.0.1", port=0, metrics_port=0, torch_threads=1))
    await server.start()
    while not server.engine.ready:
        await asyncio.sleep(0.01)
    await server.stop()
asyncio.run(start())
heavy = ("reference_server", "torch", "aiohttp", "numpy")
print(*sorted(name for name in set(sys.modules) - before if name.split(".")[0] in heavy))
"""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.split() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_front_passes_a_signal_on_and_ends_with_the_replicas_exit_code(
    number: signal.Signals, shared: tuple[psutil.Popen, Path], tmp_path: Path
) -> None:
    with front(shared[1], tmp_path / "log") as forked:
        forked.process.send_signal(number)
        assert forked.process.wait(20) == 0
        assert "draining" in forked.log.read_text()


def test_a_replica_whose_ports_are_taken_ends_with_its_own_exit_code(
    shared: tuple[psutil.Popen, Path], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [
            *SERVER,
            "--from",
            str(shared[1]),
            "--host",
            "127.0.0.1",
            "--port",
            port,
            "--metrics-port",
            "0",
        ]
        ended = run(command)
    assert ended.returncode == 2
    assert "free addresses are expected" in ended.stderr


def test_a_replica_ends_with_its_front(
    shared: tuple[psutil.Popen, Path], tmp_path: Path, eventually: Eventually
) -> None:
    with front(shared[1], tmp_path / "log") as forked:
        forked.process.kill()
        eventually(lambda: has_ended(forked.replica), within_s=10)


def test_a_standby_that_is_killed_takes_its_replicas_along_and_their_fronts_say_so(
    tmp_path: Path, eventually: Eventually
) -> None:
    with standby(tmp_path) as parent, front(tmp_path / "socket", tmp_path / "log") as forked:
        parent.kill()
        assert forked.process.wait(10) == 2
        assert "the standby is gone, and this replica with it" in forked.log.read_text()
        eventually(lambda: has_ended(forked.replica), within_s=10)


def test_a_standby_that_is_told_to_end_removes_its_socket_and_replaces_one_that_was_left(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "socket"))
    with standby(tmp_path) as parent:
        parent.terminate()
        assert parent.wait(10) == 0
    assert not (tmp_path / "socket").exists()


def test_a_standby_removes_nothing_that_is_not_a_socket_of_nobody(tmp_path: Path) -> None:
    (tmp_path / "socket").write_text("precious")
    command = [*SERVER, "--standby", str(tmp_path / "socket")]
    ended = run(command)
    assert ended.returncode == 2
    assert "the path of a new socket is expected" in ended.stderr
    assert (tmp_path / "socket").read_text() == "precious"


def test_a_front_without_a_standby_says_what_was_expected(tmp_path: Path) -> None:
    command = [*SERVER, "--from", str(tmp_path / "none")]
    ended = run(command)
    assert ended.returncode == 2
    assert "the socket of a standby is expected" in ended.stderr


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"op": "rest"}, "op: replica, rank, signal or end is expected, not 'rest'"),
        ({}, "KeyError: 'op'"),
        (
            {"op": "replica", "argv": ["vllm", "serve"]},
            "argv: [python, -m, reference_server, ...] is expected",
        ),
        (
            {"op": "replica", "argv": ["python", "-m", "reference_server"]},
            "two file descriptors are expected",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_request_is_answered_with_what_was_expected_and_others_are_still_served(
    message: dict[str, Any], expected: str, shared: tuple[psutil.Popen, Path]
) -> None:
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(shared[1]))
        for asked, answered in ((message, expected), ({"op": "end"}, None)):
            send(control, asked)
            received = receive(control)
            assert received is not None
            assert expected in received[0]["error"] if answered else received[0] == {}


def test_who_breaks_off_in_a_message_is_left_and_others_are_still_served(
    shared: tuple[psutil.Popen, Path],
) -> None:
    with socket.socket(socket.AF_UNIX) as broken, socket.socket(socket.AF_UNIX) as control:
        for connection in (broken, control):
            connection.connect(str(shared[1]))
        broken.sendall(b"\x10\0\0\0{")
        broken.shutdown(socket.SHUT_WR)
        send(control, {"op": "end"})
        assert receive(control) == ({}, [])
        assert receive(broken) is None
