"""`aftershock load`: what a service does without a fault is on a terminal, a page, in JSON and CSV."""

import csv
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.cli import main
from chaos.errors import ExitCode
from chaos.record.load_run import Latency, Level, LoadRun, Objective
from loadtests.rows import read_rows
from tests.conftest import Eventually
from tests.support.scripted_server import ScriptedServer

LOAD = (sys.executable, "-m", "chaos", "load")
DOC = (Path(__file__).parent.parent / "docs/load.md").read_text()


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def load(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*LOAD, *options], capture_output=True, text=True, check=False, timeout=300)


def record_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "performance.json").read_text()))


@pytest.fixture(scope="module")
def one(server: ScriptedServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder and the words of a load of one rate."""
    folder = tmp_path_factory.mktemp("one")
    options = ("--rate", "10", "--for", "6s", "--seed", "7", "--e2e", "20s", "--ttft", "10s")
    ended = load(server.url("ok-4-20"), *options, "--no-ignore-eos", "--out", str(folder))
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    return folder, ended.stdout


def test_one_rate_leaves_every_figure_as_the_rows_have_it(one: tuple[Path, str]) -> None:
    folder, said = one
    [level] = record_of(folder)["levels"]
    rows = [row for row in read_rows(folder / "requests.jsonl") if 2.0 <= row.intended_s < 8.0]
    assert level["planned"] == len(rows) > 30
    assert level["outcomes"] == {"ok": len(rows)}
    assert level["goodput"] == 1.0
    in_order = sorted(row.ttft_s for row in rows if row.ttft_s is not None)
    assert level["ttft"]["p50_s"] == pytest.approx(in_order[-(-len(rows) // 2) - 1], abs=1e-5)
    assert level["output_tokens_per_s"] == pytest.approx(4 * level["requests_per_s"], rel=1e-6)
    assert level["ttft"]["p99_s"] <= level["e2e"]["p99_s"]
    for word in ("TTFT", "TPOT", "ITL", "E2E", "tokens/s", "good", "outcomes"):
        assert word in said


def test_a_p99_of_few_requests_is_marked_on_the_terminal_and_the_page_of_a_load(
    one: tuple[Path, str],
) -> None:
    folder, said = one
    page = (folder / "performance.html").read_text()
    [level] = record_of(folder)["levels"]
    assert level["planned"] < 368
    lines = [line.rstrip() for line in said.splitlines() if line.startswith(("TTFT", "TPOT", "ITL", "E2E"))]
    assert [line[-3:] for line in lines] == ["s *"] * 4
    for text in (said, page):
        assert "* of fewer than the 368 requests that bound a P99" in text
    assert page.count(" *</td>") == 5, "four latencies and the lag of the generator"


def test_json_and_csv_say_the_same(one: tuple[Path, str]) -> None:
    folder, _ = one
    [level] = record_of(folder)["levels"]
    [row] = csv.DictReader((folder / "performance.csv").read_text().splitlines())
    assert float(row["rate_per_s"]) == level["rate_per_s"] == 10
    for name in ("ttft", "tpot", "itl", "e2e"):
        for figure, value in level[name].items():
            assert float(row[f"{name}_{figure}"]) == value
    assert row["outcome_ok"] == str(level["ok"])


def test_the_run_folder_is_that_of_a_run_and_report_makes_it_all_again(
    one: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, said = one
    assert {"plan.jsonl", "requests.jsonl", "journal.json", "report.html", "experiment.yaml"} <= {
        path.name for path in folder.iterdir()
    }
    before = record_of(folder)
    page = (folder / "performance.html").read_text()
    (folder / "performance.html").unlink()
    assert main(["report", str(folder)]) == ExitCode.PASSED
    assert record_of(folder) == before
    assert (folder / "performance.html").read_text() == page
    assert capsys.readouterr().out.splitlines()[:3] == said.splitlines()[:3]


def test_a_sweep_says_how_much_is_carried_and_where_the_knee_is(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """Four at a time for 0.2 s each: 20/s, and far from it at 60/s."""
    options = ("--rates", "4,8,60", "--for", "5s", "--ttft", "1s", "--e2e", "2s", "--no-ignore-eos")
    ended = load(server.url("slots-4-10-20"), *options, "--out", str(tmp_path / "out"))
    assert ended.returncode == 0, ended.stderr
    record = record_of(tmp_path / "out")
    assert [level["rate_per_s"] for level in record["levels"]] == [4, 8, 60]
    assert [level["carried"] for level in record["levels"]] == [True, True, False]
    assert record["highest_per_s"] == 8
    powers = {level["rate_per_s"]: level["good_per_s"] / level["e2e"]["mean_s"] for level in record["levels"]}
    assert record["knee_per_s"] == max(powers, key=powers.__getitem__) < 60
    assert "highest rate within the objectives is 8/s" in ended.stdout
    assert f"knee is at {record['knee_per_s']:g}/s" in ended.stdout
    assert ended.stderr.count("goodput") == 3, "each level is told when it is over"
    page = (tmp_path / "out/performance.html").read_text()
    for picture in ("throughput", "tokens", "ttft", "tpot", "itl", "e2e"):
        assert f'id="picture-{picture}"' in page
    assert "Hollow: a P99 of fewer than the 368 requests" in page
    hollow = re.findall(r'class="mark (\w+) weak".*?<title>(\w+) at', page)
    assert set(hollow) == {("orange", "p99")}, "no median is in doubt"
    assert len(hollow) == 4 * 3
    for link in re.findall(r'href="([^"]+)"', page):
        assert (tmp_path / "out" / link).is_file(), link


@pytest.mark.slow
def test_a_sweep_without_rates_finds_them_by_a_ramp(server: ScriptedServer, tmp_path: Path) -> None:
    options = ("--sweep", "--for", "2s", "--ttft", "1s", "--e2e", "2s", "--no-ignore-eos")
    ended = load(server.url("slots-2-5-40"), *options, "--out", str(tmp_path / "out"))
    assert ended.returncode in (0, 3), ended.stderr
    record = record_of(tmp_path / "out")
    rates = [level["rate_per_s"] for level in record["levels"]]
    assert len(rates) >= 4
    assert rates == sorted(set(rates))
    assert rates[0] < 5 < rates[-1], "two at a time for 0.2 s each are 10/s"


def test_ctrl_c_ends_it_with_what_was_measured(
    server: ScriptedServer, tmp_path: Path, eventually: Eventually
) -> None:
    folder = tmp_path / "out"
    options = ("--rate", "20", "--for", "10m", "--no-ignore-eos", "--out", str(folder))
    running = subprocess.Popen(
        [*LOAD, server.url("ok-2"), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    requests = folder / "requests.jsonl"
    eventually(lambda: requests.is_file() and requests.read_text().count("\n") > 60, within_s=90)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=120)
    [level] = record_of(folder)["levels"]
    assert 0 < level["planned"] < 1000
    assert "TTFT" in said


def test_a_server_that_refuses_is_told_in_its_own_words(server: ScriptedServer, tmp_path: Path) -> None:
    options = ("--rate", "30", "--for", "3s", "--no-ignore-eos", "--out", str(tmp_path))
    ended = load(server.url("choosy"), *options)
    [level] = record_of(tmp_path)["levels"]
    assert level["outcomes"].get("http_404", 0) > 10
    [(words, count)] = level["said"].items()
    assert words == "http_404: 404 the model `[prompt]` is not served, says [key]"
    assert count == level["outcomes"]["http_404"]
    assert "is not served" in ended.stdout
    for name in ("report.html", "summary.md", "performance.html", "performance.json", "requests.jsonl"):
        text = (tmp_path / name).read_text()
        assert "is not served" in text
        assert "sk-1234567" not in text


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--rates", "1,x"), "1,x"),
        (("--rates", "0,1"), "0,1"),
        (("--goal", "2"), "2"),
        (("--sweep", "--rate", "60% of capacity"), "60% of capacity"),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["load", "http://127.0.0.1:9", *options])
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == ExitCode.WRONG_INPUT
    assert named in capsys.readouterr().err


def test_nothing_that_answers_is_no_load(free_port: int, tmp_path: Path) -> None:
    ended = load(f"http://127.0.0.1:{free_port}", "--out", str(tmp_path / "out"))
    assert ended.returncode == ExitCode.INCONCLUSIVE
    assert "no service at" in ended.stderr


@pytest.mark.parametrize("part", [LoadRun, Level, Latency, Objective])
def test_the_docs_name_every_key_of_the_record(part: type[LoadRun]) -> None:
    for name, field in part.model_fields.items():
        assert f"`{field.alias or name}`" in DOC, name
