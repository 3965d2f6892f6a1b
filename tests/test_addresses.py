"""Whatever people have of a server means the same in every command, and its key is on no screen and in no file."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporters.addresses import exposition_of
from exporters.probe import ProbeTarget, probe
from tests.support.scripted_server import ScriptedServer

KEY = "sk-very-secret-1"
FORMS = ("/ok-2", "/ok-2/", "/ok-2/v1", "/ok-2/v1/", "/ok-2/v1/chat/completions", "/ok-2/v1/models")


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def aftershock(*options: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    usual = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    return subprocess.run(
        [sys.executable, "-m", "chaos", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        cwd=cwd,
        env={**usual, "PYTHONPATH": str(Path(__file__).parent.parent), **environment},
    )


@pytest.mark.parametrize("path", FORMS)
def test_the_probe_takes_every_form_of_a_base_url(server: ScriptedServer, path: str) -> None:
    before = len(server.requests)
    assert probe(ProbeTarget(f"http://{KEY}@127.0.0.1:{server.port}{path}", "tiny")).outcome == "ok"
    [(asked, headers, _)] = server.requests[before:]
    assert (asked, headers["authorization"]) == ("/ok-2/v1/chat/completions", f"bearer {KEY}")


@pytest.mark.parametrize(
    "path", ["/ok-2/v1/chat/completions", pytest.param("/ok-2/v1", marks=pytest.mark.slow)]
)
def test_load_takes_every_form_and_the_key_is_sent_and_shown_nowhere(
    server: ScriptedServer, tmp_path: Path, path: str
) -> None:
    before = len(server.requests)
    url = f"http://:{KEY}@127.0.0.1:{server.port}{path}"
    out = tmp_path / "out"
    options = (
        "--rate",
        "5",
        "--for",
        "1s",
        "--no-ignore-eos",
        "--body",
        '{"temperature":0,"stream_options":null}',
    )
    ended = aftershock("load", url, *options, "--out", str(out), cwd=tmp_path)
    assert (out / "performance.json").is_file(), ended.stderr
    asked = [each for each in server.requests[before:] if each[0].endswith("completions")]
    assert {(path, headers["authorization"]) for path, headers, _ in asked} == {
        ("/ok-2/v1/chat/completions", f"bearer {KEY}")
    }
    for _, _, body in asked:
        sent = json.loads(body)
        assert sent["temperature"] == 0
        assert "stream_options" not in sent
    assert KEY not in ended.stdout + ended.stderr
    for file in (each for each in out.rglob("*") if each.is_file()):
        assert KEY.encode() not in file.read_bytes(), file


def test_a_key_in_a_url_of_an_experiment_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(
        "experiment: one\nhypothesis: none\nfaults: []\nload: {rate: 1}\nphases: {observe: 5s, baseline: 0s}\n"
        f"target: {{external: {{url: 'http://{KEY}@127.0.0.1:1'}}}}\nassertions: [disturbances == 0]\n"
    )
    ended = aftershock("validate", "one.yaml", cwd=tmp_path)
    assert ended.returncode == 2
    assert "api_key_env" in ended.stderr + ended.stdout
    assert KEY not in ended.stderr + ended.stdout


def test_an_experiments_load_says_model_key_and_extra_keys(server: ScriptedServer, tmp_path: Path) -> None:
    before = len(server.requests)
    (tmp_path / "one.yaml").write_text(
        "experiment: one\nhypothesis: none\nfaults: []\nphases: {observe: 3s, baseline: 0s, warmup: 1s}\n"
        "load: {rate: 5, ignore_eos: false, model: big, api_key_env: THE_KEY, body: {top_p: 0.5}}\n"
        f"target: {{external: {{url: '{server.url('ok-2')}'}}}}\nassertions: [disturbances == 0]\n"
    )
    ended = aftershock("run", "one.yaml", "--out", "out", cwd=tmp_path, THE_KEY=KEY)
    assert (tmp_path / "out/journal.json").is_file(), ended.stderr
    asked = server.requests[before:]
    assert len(asked) > 5
    for path, headers, body in asked:
        sent = json.loads(body)
        assert path.endswith("/chat/completions"), "nobody had to ask for a list of models"
        assert headers["authorization"] == f"bearer {KEY}"
        assert (sent["model"], sent["top_p"]) == ("big", 0.5)
        assert "ignore_eos" not in sent
    refused = aftershock("validate", "one.yaml", cwd=tmp_path)
    assert (refused.returncode, "THE_KEY" in refused.stderr + refused.stdout) == (2, True)


@pytest.mark.parametrize("key", ["model", "messages", "stream"])
def test_what_the_load_sets_itself_is_no_extra_key(tmp_path: Path, key: str) -> None:
    (tmp_path / "one.yaml").write_text(
        "experiment: one\nhypothesis: none\nfaults: []\nphases: {observe: 3s, baseline: 0s}\n"
        f"load: {{rate: 5, body: {{{key}: true}}}}\n"
        "target: {external: {url: 'http://127.0.0.1:1'}}\nassertions: [disturbances == 0]\n"
    )
    ended = aftershock("validate", "one.yaml", cwd=tmp_path)
    assert (ended.returncode, "load.body" in ended.stderr + ended.stdout) == (2, True)


@pytest.mark.parametrize(
    "name",
    [
        "HTTP_PROXY",
        pytest.param("http_proxy", marks=pytest.mark.slow),
        pytest.param("ALL_PROXY", marks=pytest.mark.slow),
    ],
)
def test_proxy_variables_do_not_take_this_machine_away(
    server: ScriptedServer, tmp_path: Path, free_port: int, name: str
) -> None:
    """All that a run asks: the service, an exposition of a replica, and a Prometheus that is none."""
    dead = {name: f"http://127.0.0.1:{free_port}", "no_proxy": "", "NO_PROXY": ""}
    options = ("--rate", "5", "--for", "1s", "--no-ignore-eos", "--metrics", f"{server.url('status-200')}")
    ended = aftershock(
        "observe", server.url("ok-2"), *options, "--out", str(tmp_path / "out"), cwd=tmp_path, **dead
    )
    assert (tmp_path / "out/journal.json").is_file(), ended.stderr
    journal = json.loads((tmp_path / "out/journal.json").read_text())
    assert set(journal["load"]["outcomes"]) == {"ok"}
    assert "engine not recognised" in ended.stderr
    assert str(free_port) not in ended.stderr, "the proxy was asked"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://host:8000", "http://host:8000/metrics"),
        ("http://host:8000/", "http://host:8000/metrics"),
        ("http://host:8000/v1", "http://host:8000/metrics"),
        ("http://host:8000/v1/chat/completions", "http://host:8000/metrics"),
        ("https://host/team/v1", "https://host/team/metrics"),
        ("http://host:8000/metrics", "http://host:8000/metrics"),
        ("http://host:8000/prometheus/", "http://host:8000/prometheus/"),
        ("http://[::1]:8000", "http://[::1]:8000/metrics"),
    ],
)
def test_an_exposition_is_found_from_a_base_url(url: str, asked: str) -> None:
    assert exposition_of(url) == (asked, {})


def test_the_key_of_an_exposition_goes_into_its_header() -> None:
    assert exposition_of(f"http://{KEY}@host/v1") == (
        "http://host/metrics",
        {"Authorization": f"Bearer {KEY}"},
    )
