"""Pushing, against the documented API (documented_grafana.py): there is no Grafana to be had here."""

import socket
import subprocess
import sys

import pytest

from dashboards.boards.catalogue import dashboards
from dashboards.cli import main
from dashboards.engines import engine_of
from exporters.profiles.library import profile
from tests.support.documented_grafana import READ_ONLY, TOKEN, State, grafana

VLLM = engine_of(profile("vllm"))
UIDS = {dashboard.uid for dashboard in dashboards().values()}


def push(url: str, *flags: str, token: str = TOKEN) -> int:
    return main(["push", "--url", url, "--token", token, *flags])


def test_all_dashboards_arrive_in_a_new_folder_under_their_uids(capsys: pytest.CaptureFixture[str]) -> None:
    state = State()
    with grafana(state) as url:
        assert push(url) == 0
    assert state.folders == {"aftershock": "aftershock"}
    assert state.dashboards.keys() == UIDS
    assert {posted["folderUid"] for posted in state.dashboards.values()} == {"aftershock"}
    out = capsys.readouterr().out
    assert f"Caches: created, {url}/d/aftershock-caches" in out
    assert "sent 8 dashboards to Grafana 12.2.0" in out


def test_the_dashboards_of_another_engine_lie_beside_ours(capsys: pytest.CaptureFixture[str]) -> None:
    state = State()
    with grafana(state) as url:
        assert push(url) == push(url, "--engine", "vllm") == 0
    assert state.dashboards.keys() == UIDS | {dashboard.uid for dashboard in dashboards(VLLM).values()}
    assert len(state.dashboards) == 14
    assert "Serving SLOs: vllm: created" in capsys.readouterr().out


def test_a_second_push_replaces_them_and_makes_no_second_folder(capsys: pytest.CaptureFixture[str]) -> None:
    state = State()
    with grafana(state) as url:
        push(url)
        capsys.readouterr()
        assert push(url) == 0
    assert state.writes.count("folders") == 1
    assert {posted["dashboard"]["version"] for posted in state.dashboards.values()} == {2}
    assert capsys.readouterr().out.count(": replaced, ") == 8


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    state = State()
    with grafana(state) as url:
        assert push(url, "--dry-run", token=READ_ONLY) == 0
    assert state.writes == []
    out = capsys.readouterr().out
    assert out.count("would be created") == 8
    assert "would send 8 dashboards" in out


def test_a_grafana_below_a_path_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    state = State(prefix="/monitoring/grafana")
    with grafana(state) as url:
        assert push(f"{url}/") == 0
    assert state.dashboards.keys() == UIDS
    assert f"{url}/d/aftershock-gpu" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("glsa_wrong", "does not take this token\nhint: it must be a service account's token"),
        (
            READ_ONLY,
            "does not let this token write a new folder\nhint: its service account needs the role Editor",
        ),
    ],
    ids=["a bad token", "a viewer's token"],
)
def test_a_token_that_will_not_do_is_said_with_what_it_lacks(
    token: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State()
    with grafana(state) as url:
        assert push(url, token=token) == 1
    captured = capsys.readouterr()
    assert said in captured.err
    assert token not in captured.out + captured.err
    assert state.dashboards == {}


def test_an_old_grafana_is_refused_before_anything_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    state = State(version="10.4.19+security-01")
    with grafana(state) as url:
        assert push(url) == 1
    assert state.writes == []
    assert f"Grafana 10.4.19+security-01 at {url} is too old\nhint: " in capsys.readouterr().err


def test_something_else_that_answers_is_said_to_be_no_grafana(capsys: pytest.CaptureFixture[str]) -> None:
    with grafana(State(version="")) as url:
        assert push(url) == 1
    assert "is no Grafana" in capsys.readouterr().err


def test_an_unreachable_grafana_is_said_in_one_line_and_a_hint(
    free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(f"http://127.0.0.1:{free_port}") == 1
    said = capsys.readouterr().err
    assert f"Grafana at http://127.0.0.1:{free_port} cannot be reached" in said
    assert "\nhint: is it running" in said
    assert "Traceback" not in said


def test_a_grafana_that_hangs_is_given_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboards.grafana.push.TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert push(f"http://127.0.0.1:{silent.getsockname()[1]}") == 1
    assert "did not answer within 0.3 s" in capsys.readouterr().err


def test_what_is_no_url_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert push("localhost:3000") == 1
    assert (
        "expected the URL of a Grafana, got 'localhost:3000'\nhint: it begins with http"
        in capsys.readouterr().err
    )


def test_a_provisioned_dashboard_is_not_fought_over(capsys: pytest.CaptureFixture[str]) -> None:
    state = State()
    with grafana(state) as url:
        push(url)
        state.provisioned.add("aftershock-fleet")
        before = dict(state.dashboards)
        assert push(url) == 1
    assert state.dashboards == before
    assert "'Fleet overview' is provisioned from a file" in capsys.readouterr().err


def test_a_refusal_is_passed_on_in_grafanas_words(capsys: pytest.CaptureFixture[str]) -> None:
    with grafana(State(failing="database is locked")) as url:
        assert push(url) == 1
    assert "answered 500 database is locked (a new folder)" in capsys.readouterr().err


def test_nobody_loads_grafanas_client_before_a_grafana_is_asked() -> None:
    code = "import sys, chaos.cli, dashboards.cli; print({'grafana_client', 'niquests'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"


def test_the_token_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    state = State()
    monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
    with grafana(state) as url:
        assert main(["push", "--url", url, "--dry-run"]) == 0
    monkeypatch.delenv("GRAFANA_TOKEN")
    with pytest.raises(SystemExit) as stopped:
        main(["push", "--url", "http://127.0.0.1:1"])
    assert stopped.value.code == 2
