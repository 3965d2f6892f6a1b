"""The exporters that run alone: they serve until told to end, end at once, and refuse what they cannot do."""

import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporters.cli import main
from tests.support.scripted_server import ScriptedServer

Eventually = Callable[..., object]
HAS_GPU = Path("/dev/nvidiactl").exists()
ADDRESS = ("--host", "127.0.0.1", "--port", "0")


@contextmanager
def exporter(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """A running `python -m exporters`, and what it serves."""
    command = [sys.executable, "-m", "exporters", *arguments, *ADDRESS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = None
            while found is None:
                line = process.stdout.readline()
                assert line, "it ended before it served"
                found = re.search(r"http://\S+/metrics", line)
            url = found[0]

            def fetch() -> str:
                with urllib.request.urlopen(url, timeout=10) as response:
                    body: bytes = response.read()
                    return body.decode()

            yield process, fetch
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_exporter_that_is_told_to_end_ends_well(number: signal.Signals) -> None:
    with exporter("comm", "--respond-port", "0") as (process, fetch):
        assert "ds_comm_latency_seconds" in fetch()
        process.send_signal(number)
        assert process.wait(timeout=10) == 0


@pytest.mark.skipif(HAS_GPU, reason="this machine has an NVIDIA driver")
def test_gpu_without_a_gpu_serves_that_it_is_down_and_nothing_else_of_a_gpu(eventually: Eventually) -> None:
    with exporter("gpu") as (_, fetch):
        eventually(lambda: 'ds_collector_success{collector="gpu"} 1.0' in fetch(), within_s=30)
        lines = [line for line in fetch().splitlines() if "ds_gpu" in line and not line.startswith("#")]
    assert lines == ["ds_gpu_up 0.0"]


@pytest.mark.skipif(HAS_GPU, reason="this machine has an NVIDIA driver")
def test_gpu_once_prints_the_first_answer_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpu", "--once"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "ds_gpu_up 0.0" in lines
    assert 'ds_collector_success{collector="gpu"} 1.0' in lines


def test_probe_and_comm_show_what_they_measure(eventually: Eventually) -> None:
    with ScriptedServer() as server:
        url = server.url("ok-3")
        target = f'model="tiny",target="127.0.0.1:{server.port}"'
        with exporter("probe", "--url", url, "--model", "tiny", "--every", "0.1") as (_, fetch):
            eventually(lambda: f"ds_probe_success{{{target}}} 1.0" in fetch(), within_s=30)
        peer = f"127.0.0.1:{server.port}"
        with exporter(
            "comm", "--peer", peer, "--respond-port", "0", "--every", "0.1", "--timeout", "0.1"
        ) as (
            _,
            fetch,
        ):
            failed = f'ds_comm_failures_total{{op="tcp_rtt",peer="{peer}",scope="intra"}} 0.0'
            eventually(
                lambda: "ds_comm_failures_total" in (text := fetch()) and failed not in text, within_s=30
            )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["probe", "--url", "10.0.0.7", "--model", "tiny"], "--url: expected a base URL such as"),
        (
            ["probe", "--url", "http://a:1", "--url", "http://a:1/x", "--model", "tiny"],
            "--url: expected each server once, at most 256, got a:1, a:1",
        ),
        (
            ["probe", "--url", "http://a:1", "--model", "tiny", "--api-key-env", "NO_SUCH_KEY"],
            "--api-key-env: expected a key in the variable NO_SUCH_KEY, got nothing",
        ),
        (["comm", "--peer", "a"], "--peer: expected host:port, got 'a'"),
        (["comm", "--peer", "a:1", "--peer", "a:1"], "--peer: expected each peer once, at most 64"),
        (["comm", *(f"--peer=host-{number}:1" for number in range(65))], "at most 64, got 65"),
        (["gpu", "--host", "192.0.2.1"], "Cannot assign requested address"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_cannot_be_done_ends_with_exit_code_2_and_a_reason(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert (shown.out, complaint in shown.err) == ("", True)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["probe", "--model", "tiny"],
        ["probe", "--url", "http://a:1", "--model", "tiny", "--every", "0"],
        ["comm", "--timeout", "soon"],
    ],
)
def test_wrong_usage_ends_with_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m exporters" in capsys.readouterr().err
