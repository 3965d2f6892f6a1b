"""One file of objectives leads to one bound: in rules, panels, bucket edges, verdict, alerts and report alike."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.cli import main as aftershock
from chaos.errors import InputError
from chaos.experiment.experiment import read_experiment
from dashboards.boards.catalogue import dashboards
from dashboards.boards.panels import Panel
from dashboards.cli import main as build
from dashboards.engines import engine_of
from exporters.inference import InferenceMetrics
from exporters.profiles.library import profile
from exporters.registry import Registry
from exporters.slo_file import read_slo
from loadtests.rows import read_rows
from tests.support.scripted_server import ScriptedServer

TTFT_S, ITL_S, TPOT_S, E2E_S = 1.7, 0.9, 0.37, 3.3
"""No edges of any family, and no default of anything."""
FILE = f"""\
ttft: {{bound: {TTFT_S}s, share: 97%}}
itl: {{bound: {ITL_S}s, share: 98%}}
tpot: {{bound: {TPOT_S}s, share: 97.5%}}
e2e: {{bound: {E2E_S}s, share: 96%}}
availability: {{share: 99.5%}}
goodput: {{share: 30%}}
"""
MANIFEST = """\
apiVersion: chaos-mesh.org/v1alpha1
kind: PodChaos
metadata: {name: kill-one, namespace: inference}
spec:
  action: pod-kill
  mode: fixed
  value: "1"
  selector: {labelSelectors: {app: reference-server}}
"""
EXPERIMENT = f"""\
experiment: held
hypothesis: Killing one of two replicas is seen by whoever looks, at the bounds of the file.
seed: 5
target: {{local: {{replicas: 2, env: {{DS_MODEL_NAME: tiny, DS_TORCH_THREADS: "1"}}}}}}
load: {{rate: 20, output_tokens: 8}}
phases: {{warmup: 1s, baseline: 8s, observe: 8s}}
fault: {{manifest: kill.yaml, max_targets: 1, jitter: 0s}}
slo: objectives.yaml
recovery: {{goodput: 50%, error_ratio: 50%, window: 1s, hold: 1s, within: 7s}}
assertions:
  - p50(ttft, all) <= slo.ttft
  - goodput(all) >= slo.goodput
  - promql_max('sum(ds_time_to_first_token_seconds_bucket{{le="{TTFT_S}"}})', all) >= 1
  - promql_max('sum(ds_time_per_output_token_seconds_bucket{{le="{TPOT_S}"}})', all) >= 1
  - promql_max('sum(ds_inference_latency_seconds_bucket{{le="{E2E_S}"}})', all) >= 1
  - promql_max('sum(ds_gateway_request_seconds_bucket{{le="{E2E_S}"}})', all) >= 1
  - promql_max('slo:objective:ratio{{sloth_slo="availability"}}', all) == 0.995
"""


@pytest.fixture
def slo_file(tmp_path: Path) -> Path:
    path = tmp_path / "objectives.yaml"
    path.write_text(FILE)
    return path


def write_experiment(folder: Path, text: str = EXPERIMENT) -> Path:
    (folder / "objectives.yaml").write_text(FILE)
    (folder / "kill.yaml").write_text(MANIFEST)
    path = folder / "held.yaml"
    path.write_text(text)
    return path


def limits(page: dict[str, Any]) -> dict[str, float]:
    """Where the line of each panel is, of those with one."""
    return {
        panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"]
        for panel in page["panels"]
        if panel["type"] not in ("row", "text")
        and len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) > 1
    }


def test_the_lines_shares_and_burn_rates_of_the_dashboards_are_those_of_the_file(
    slo_file: Path, tmp_path: Path
) -> None:
    assert build(["build", "--slo", str(slo_file), "--to", str(tmp_path / "pages")]) == 0
    serving, gateway = (
        json.loads((tmp_path / "pages" / f"{name}.json").read_text()) for name in ("serving", "gateway")
    )
    lines = limits(serving)
    titles = ("Time to first token", "Inter-token latency", "Time per output token", "End to end")
    assert [lines[title] for title in titles] == [TTFT_S, ITL_S, TPOT_S, E2E_S]
    shares = ("First token in time", "Tokens at pace", "Answered completely")
    assert [lines[title] for title in shares] == [0.97, 0.975, 0.995]
    assert limits(gateway)["Failed"] == 0.005
    text = json.dumps([serving, gateway])
    assert f'le=\\"{TTFT_S}\\"' in text
    assert f'le=\\"{E2E_S}\\"' in text
    assert "Objective: 97% of requests within 1.7 s." in text
    burned = next(panel for panel in serving["panels"] if panel["title"] == "Burn rate")
    assert [re.search(r"/ ([\d.]+)$", target["expr"])[1] for target in burned["targets"]] == [  # type: ignore[index]
        *("0.03", "0.04", "0.02", "0.025", "0.005"),
    ]


def test_the_rules_judge_at_the_bounds_of_the_file_and_page_for_its_budget(
    slo_file: Path, tmp_path: Path
) -> None:
    assert build(["build", "--slo", str(slo_file), "--rules", str(tmp_path / "rules")]) == 0
    texts = {path.name: path.read_text() for path in (tmp_path / "rules").iterdir()}
    assert set(texts) == {f"reference.{kind}.yaml" for kind in ("rules", "live.rules", "prometheus-rule")}
    for text in texts.values():
        assert f'le="{TTFT_S}"' in text
        assert 'le="0.5"' not in text
    rules = [
        rule for group in yaml.safe_load(texts["reference.rules.yaml"])["groups"] for rule in group["rules"]
    ]
    said = {
        rule["labels"]["sloth_slo"]: rule["expr"]
        for rule in rules
        if rule.get("record") == "slo:objective:ratio"
    }
    assert said == {
        "ttft": "vector(0.97)",
        "itl": "vector(0.98)",
        "tpot": "vector(0.975)",
        "e2e": "vector(0.96)",
        "availability": "vector(0.995)",
    }
    pages = [rule["expr"] for rule in rules if rule.get("alert") == "AvailabilityBudgetBurn"]
    assert "> 0.072" in pages[0], "14.4 times a budget of 0.5 %"


def test_a_panel_of_another_engine_counts_at_its_nearest_edge_and_draws_the_line_of_the_file(
    slo_file: Path,
) -> None:
    engine = engine_of(profile("vllm"), read_slo(slo_file))
    panels = {panel.title: panel for panel in dashboards(engine)["serving"].panels}
    assert "Here within" in panels["First token in time"].description
    assert _limit(panels["Time to first token"]) == TTFT_S


def test_an_objective_that_is_left_out_has_no_line_no_share_and_no_rule(
    slo_file: Path, tmp_path: Path
) -> None:
    optional = ("itl", "tpot", "goodput")
    objectives = tuple(each for each in read_slo(slo_file) if each.name not in optional)
    engine = engine_of(profile("reference"), objectives)
    serving = dashboards(engine)["serving"]
    titles = {panel.title: panel for panel in serving.panels}
    assert "Token gaps in time" not in titles
    assert "Tokens at pace" not in titles
    assert "`tpot`" not in str(serving.rows[-1]), "held by nobody who does not say so: nothing is missing"
    assert titles["Inter-token latency"].limit is None
    assert "there is no objective `itl`" in str(serving.rows[-1])
    path = tmp_path / "some.yaml"
    path.write_text("".join(line + "\n" for line in FILE.splitlines() if not line.startswith(optional)))
    assert build(["build", "--slo", str(path), "--rules", str(tmp_path / "rules")]) == 0
    written = (tmp_path / "rules" / "reference.rules.yaml").read_text()
    assert "ItlBudgetBurn" not in written
    assert "TpotBudgetBurn" not in written


def test_a_server_that_is_given_the_file_has_its_bounds_as_bucket_edges(slo_file: Path) -> None:
    registry = Registry()
    InferenceMetrics("m", registry=registry, objectives=read_slo(slo_file))
    edges = {
        (metric.name, sample.labels["le"])
        for metric in registry.collect()
        for sample in metric.samples
        if "le" in sample.labels
    }
    assert {
        ("ds_time_to_first_token_seconds", f"{TTFT_S}"),
        ("ds_inter_token_latency_seconds", f"{ITL_S}"),
        ("ds_time_per_output_token_seconds", f"{TPOT_S}"),
        ("ds_inference_latency_seconds", f"{E2E_S}"),
        ("ds_time_to_first_token_seconds", "0.5"),
    } <= edges


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "dashboards", "build", "--to", "pages", "--slo"],
        ["-m", "dashboards", "push", "--url", "http://127.0.0.1:9", "--token", "t", "--slo"],
        ["-m", "chaos", "run", "held.yaml", "--slo"],
        ["-m", "chaos", "plan", "held.yaml", "--slo"],
        ["-m", "chaos", "validate", "held.yaml", "--slo"],
        ["-m", "chaos", "validate", "--slo"],
        ["-m", "chaos", "load", "http://127.0.0.1:9", "--slo"],
        ["-m", "chaos", "observe", "http://127.0.0.1:9", "--slo"],
        ["-m", "reference_server", "--model-name", "tiny", "--port", "0", "--metrics-port", "0", "--slo"],
    ],
    ids=lambda command: " ".join(command[1:3]),
)
def test_every_command_refuses_a_wrong_file_in_the_same_words(command: list[str], tmp_path: Path) -> None:
    write_experiment(tmp_path)
    (tmp_path / "wrong.yaml").write_text(FILE.replace(f"{TTFT_S}s", "quickly"))
    ended = subprocess.run(
        [sys.executable, *command, "wrong.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert "wrong.yaml:1: ttft.bound: expected a duration such as 250ms, 2s or 1m30s" in ended.stderr
    assert "got quickly" in ended.stderr


def test_objectives_without_a_place_for_what_is_built_are_refused(
    slo_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        build(["build", "--slo", str(slo_file)])
    assert stopped.value.code == 2
    assert "expected --to DIR, --rules DIR or both" in capsys.readouterr().err


def test_validate_says_in_words_what_a_file_of_objectives_holds_and_what_it_leaves_out(
    slo_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slo_file.write_text("".join(line for line in FILE.splitlines(True) if not line.startswith("itl")))
    assert aftershock(["validate", "--slo", str(slo_file)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"{slo_file}: 5 objectives"
    assert f"97.5% of requests within {TPOT_S} s" in "".join(line for line in told if "tpot" in line)
    assert [line.split()[0] for line in told if "left out" in line] == ["itl"]


def test_validate_reads_an_experiment_as_held_to_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its own file it is sound; with one that lacks an objective, an assertion on that is in the air."""
    path = write_experiment(tmp_path)
    less = tmp_path / "less.yaml"
    less.write_text("".join(line for line in FILE.splitlines(True) if not line.startswith("goodput")))
    assert aftershock(["validate", str(path), "--slo", str(tmp_path / "objectives.yaml")]) == 0
    assert "experiment held" in capsys.readouterr().out
    assert aftershock(["validate", str(path), "--slo", str(less)]) == 2
    told = capsys.readouterr()
    assert "less.yaml: 5 objectives" in told.out
    assert "assertions[1]: expected an objective of this experiment" in told.err
    assert "slo.goodput" in told.err


def test_what_a_file_of_objectives_makes_wrong_is_told_with_its_value_and_not_the_experiments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_experiment(tmp_path)
    slow = tmp_path / "slow.yaml"
    slow.write_text(re.sub(r"(?m)^e2e: \{bound: [\w.]+", "e2e: {bound: 1m", FILE))
    assert slow.read_text() != FILE
    assert aftershock(["validate", str(path), "--slo", str(slow)]) == 2
    (told,) = [line for line in capsys.readouterr().err.splitlines() if ": slo.e2e: " in line]
    assert told.endswith("the client gives up before, got '60s'")


def test_validate_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert aftershock(["validate"]) == 2
    assert "expected files or folders, or --slo FILE" in capsys.readouterr().err


def test_an_experiment_names_the_file_by_a_path_from_where_it_lies(tmp_path: Path) -> None:
    experiment = read_experiment(write_experiment(tmp_path))
    spec = experiment.spec.slo
    assert (spec.ttft_s, spec.itl_s, spec.tpot_s, spec.e2e_s) == (TTFT_S, ITL_S, TPOT_S, E2E_S)
    assert spec.objectives == read_slo(tmp_path / "objectives.yaml")
    assert [str(each) for each in experiment.assertions][:2] == [
        "p50(ttft, all) <= 1.7s",
        "goodput(all) >= 30%",
    ]


def test_a_path_without_a_file_is_refused_where_it_stands(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, EXPERIMENT.replace("slo: objectives.yaml", "slo: gone.yaml"))
    expected = "expected a mapping, or the path of a file of objectives; there is none at"
    with pytest.raises(InputError, match=rf"held\.yaml:8: slo: {expected} .*gone\.yaml, got gone\.yaml"):
        read_experiment(path)


def test_the_option_comes_before_the_files_own_objectives(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, EXPERIMENT.replace("slo: objectives.yaml", "slo: {ttft: 400ms}"))
    with pytest.raises(
        InputError, match=r"assertions\[1\]: expected an objective of this experiment \(slo\.ttft, slo\.itl"
    ):
        read_experiment(path)
    assert read_experiment(path, tmp_path / "objectives.yaml").spec.slo.ttft_s == TTFT_S


def test_shares_that_no_alert_can_watch_are_refused_in_an_experiment_too(tmp_path: Path) -> None:
    given = "slo: {shares: {ttft: 90%, e2e: 99%, availability: 99%}}"
    path = write_experiment(tmp_path, EXPERIMENT.replace("slo: objectives.yaml", given))
    with pytest.raises(InputError, match=r"slo\.shares\.ttft: expected a number above 0\.93"):
        read_experiment(path)


def test_a_load_takes_bounds_and_goal_from_the_file_and_an_option_before_them(
    tmp_path: Path, slo_file: Path
) -> None:
    with ScriptedServer() as server:
        out = tmp_path / "load"
        arguments = [
            "load",
            server.url("ok-4-20"),
            "--rate",
            "20",
            "--for",
            "3s",
            "--slo",
            str(slo_file),
            "--e2e",
            "4s",
        ]
        assert aftershock([*arguments, "--out", str(out)]) in (0, 3)
    record = json.loads((out / "performance.json").read_text())
    assert record["objective"] == {
        "ttft_s": TTFT_S,
        "e2e_s": 4.0,
        "itl_s": ITL_S,
        "tpot_s": TPOT_S,
        "goal": 0.3,
    }
    written = yaml.safe_load((out / "experiment.yaml").read_text())["slo"]
    assert [written[name] for name in ("ttft", "itl", "tpot", "e2e")] == ["1.7s", "900ms", "370ms", "4s"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two reference servers under Prometheus, held to the file."""
    folder = tmp_path_factory.mktemp("held")
    out = folder / "run"
    code = aftershock(["run", str(write_experiment(folder)), "--out", str(out)])
    journal = json.loads((out / "journal.json").read_text())
    assert code == 0, (journal["verdict"], journal["reasons"], journal["assertions"])
    return out


def test_replicas_gateway_and_rules_of_a_run_have_the_bounds_of_its_file(run: Path) -> None:
    journal = json.loads((run / "journal.json").read_text())
    assert {each["expression"]: each["verdict"] for each in journal["assertions"]}.keys() >= {
        "p50(ttft, all) <= 1.7s"
    }
    assert all(each["verdict"] == "passed" for each in journal["assertions"])
    assert f'le="{TTFT_S}"' in (run / "live.rules.yaml").read_text()
    assert "Objective: ttft: 97% of requests within 1.7 s." in (run / "live.rules.yaml").read_text()


def test_verdict_panels_and_report_of_a_run_have_the_bounds_of_its_file(run: Path) -> None:
    journal = json.loads((run / "journal.json").read_text())
    assert journal["slo"] == {"ttft_s": TTFT_S, "itl_s": ITL_S, "tpot_s": TPOT_S, "e2e_s": E2E_S}
    kept = json.loads((run / "series.json").read_text())
    limits_by_panel = {one["panel"]: one.get("limit") for one in kept.values()}
    assert limits_by_panel["Oldest waiting request by replica"] == TTFT_S
    assert limits_by_panel["P99 before and behind the gateway"] == E2E_S
    report = (run / "report.html").read_text()
    assert "SLO 1.7 s" in report


def test_journal_and_report_of_a_run_say_which_share_of_its_requests_met_which_objective(run: Path) -> None:
    """Counted again row by row, of all that was planned after the warm-up."""
    journal = json.loads((run / "journal.json").read_text())
    rows = [row for row in read_rows(run / "requests.jsonl") if row.intended_s >= journal["load"]["warmup_s"]]
    met = {
        "ttft": [row.ok and (row.ttft_s or 0) <= TTFT_S for row in rows],
        "itl": [row.ok and max(row.itl_s, default=0) <= ITL_S for row in rows],
        "tpot": [row.ok and (row.tpot_s or 0) <= TPOT_S for row in rows],
        "e2e": [row.e2e_s is not None and row.e2e_s <= E2E_S for row in rows],
        "availability": [row.ok for row in rows],
    }
    met["goodput"] = [all(each) for each in zip(*met.values(), strict=True)]
    told = {each["objective"]: each for each in journal["attained"] if each["phase"] == "all"}
    assert {name: (each["met"], each["n"]) for name, each in told.items()} == {
        name: (sum(flags), len(rows)) for name, flags in met.items()
    }
    assert {name: each["wanted"] for name, each in told.items()} == {
        "ttft": 0.97,
        "itl": 0.98,
        "tpot": 0.975,
        "e2e": 0.96,
        "availability": 0.995,
        "goodput": 0.3,
    }
    summary = (run / "summary.md").read_text()
    assert "| objective | wanted | baseline | fault | recovery | all |" in summary
    assert "| tpot: time per token after the first within 370 ms | 97.5 % |" in summary
    assert "time per token after the first within" in (run / "report.html").read_text()


def test_the_copy_of_a_run_needs_the_file_no_more(run: Path) -> None:
    spelled_out = yaml.safe_load((run / "experiment.yaml").read_text())["slo"]
    assert spelled_out["shares"] == {
        "ttft": "97%",
        "e2e": "96%",
        "availability": "99.5%",
        "itl": "98%",
        "tpot": "97.5%",
        "goodput": "30%",
    }
    assert read_experiment(run / "experiment.yaml").spec.slo.objectives == read_slo(
        run.parent / "objectives.yaml"
    )


def _limit(panel: Panel) -> float | None:
    return None if panel.limit is None else panel.limit.value
