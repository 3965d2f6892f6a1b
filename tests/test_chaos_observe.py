"""A service that somebody else runs is watched; here the test kills it and starts it again, as a person would."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtests.rows import read_rows
from tests.conftest import Eventually
from tests.support.own_server import OwnServer

_OBSERVE = (sys.executable, "-m", "chaos", "observe")


@pytest.fixture
def server(free_port: int) -> Iterator[OwnServer]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        metrics_port = listener.getsockname()[1]
    with OwnServer(free_port, metrics_port) as running:
        yield running


def observe(server: OwnServer, folder: Path, *options: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            *_OBSERVE,
            server.url,
            "--rate",
            "40",
            "--ttft",
            "1s",
            "--e2e",
            "2s",
            "--out",
            str(folder),
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def good_rows(folder: Path) -> int:
    path = folder / "requests.jsonl"
    return sum(row.ok for row in read_rows(path)) if path.is_file() else 0


def journal_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "journal.json").read_text()))


def test_an_outage_by_somebody_elses_hand_is_named_with_its_length_and_its_recovery(
    server: OwnServer, tmp_path: Path, eventually: Eventually
) -> None:
    folder = tmp_path / "seen"
    watched = observe(server, folder, "--for", "14s")
    eventually(lambda: good_rows(folder) > 120, within_s=60, what="a healthy service under load")
    killed_s = time.monotonic()
    server.kill()
    eventually(
        lambda: sum(not row.ok for row in read_rows(folder / "requests.jsonl")) > 40,
        within_s=30,
        what="refused requests",
    )
    server.start()
    back_s = time.monotonic()
    said, told = watched.communicate(timeout=120)

    assert watched.returncode == 1, told
    journaled = journal_of(folder)
    zero_s = journaled["load"]["generator"]["start_monotonic_s"]
    assert (journaled["verdict"], journaled["reasons"], journaled["target"]) == ("deviated", [], "external")
    [one] = journaled["disturbances"]
    assert one["start_s"] == pytest.approx(killed_s - zero_s, abs=0.3)
    assert one["ended_s"] == pytest.approx(back_s - zero_s, abs=0.3)
    assert one["length_s"] == pytest.approx(one["ended_s"] - one["start_s"])
    assert one["outcomes"]["connect_refused"] > 35
    begins, lasts = f"goodput fell at {one['start_s']:.1f} s for", "connect_refused"
    for text in (said, (folder / "summary.md").read_text(), (folder / "report.html").read_text()):
        flat = " ".join(text.replace("\N{NO-BREAK SPACE}", " ").replace("\\", "").split())
        assert begins in flat
        assert lasts in flat
        assert f"from {one['ended_s']:.1f} s on" in flat
    assert "disturbed since" in told, "it is told while it goes on"
    assert "good again since" in told


def test_ending_an_observation_by_hand_reports_what_was_seen(
    server: OwnServer, tmp_path: Path, eventually: Eventually
) -> None:
    folder = tmp_path / "seen"
    watched = observe(server, folder, "--for", "10m")
    eventually(lambda: good_rows(folder) > 200, within_s=60, what="a healthy service under load")
    watched.send_signal(signal.SIGINT)
    said, told = watched.communicate(timeout=60)

    assert watched.returncode == 0, told
    journaled = journal_of(folder)
    assert journaled["disturbances"] == []
    assert journaled["load"]["planned"] < 1000, "what was not sent is no part of the observation"
    assert journaled["load"]["outcomes"] == {"ok": journaled["load"]["planned"]}
    assert "nothing disturbed the service in the" in said
    assert (folder / "report.html").is_file()


@pytest.mark.slow
def test_an_observation_that_ends_in_an_outage_says_so(
    server: OwnServer, tmp_path: Path, eventually: Eventually
) -> None:
    folder = tmp_path / "seen"
    watched = observe(server, folder, "--for", "10m")
    eventually(lambda: good_rows(folder) > 120, within_s=60, what="a healthy service under load")
    server.kill()
    eventually(
        lambda: sum(not row.ok for row in read_rows(folder / "requests.jsonl")) > 80,
        within_s=30,
        what="an outage",
    )
    watched.send_signal(signal.SIGINT)
    said, told = watched.communicate(timeout=60)

    assert watched.returncode == 1, told
    [one] = journal_of(folder)["disturbances"]
    assert one["ended_s"] is None
    assert "it went on when the observation ended" in " ".join(said.split())


def test_where_nothing_answers_nothing_is_observed(tmp_path: Path, free_port: int) -> None:
    said = subprocess.run(
        [*_OBSERVE, f"http://127.0.0.1:{free_port}", "--out", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert said.returncode == 3
    assert f"no service at http://127.0.0.1:{free_port}" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["localhost:80"], "expected a base URL such as http://127.0.0.1:8000, not 'localhost:80'"),
        (["http://h", "--for", "60"], "expected a duration such as 250ms, 15s or 1m30s, got '60'"),
        (["http://h", "--rate", "much"], "expected a number above 0, or a share up to 100%"),
        (["http://h", "--rate", "0"], "expected a number above 0, or a share up to 100%"),
        (["http://h", "--output-tokens", "0"], "expected a whole number from 1, got '0'"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_what_was_expected(
    options: list[str], complaint: str, tmp_path: Path
) -> None:
    said = subprocess.run(
        [*_OBSERVE, *options], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60
    )
    assert said.returncode == 2
    assert complaint in said.stderr
    assert list(tmp_path.iterdir()) == []
