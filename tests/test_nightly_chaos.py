"""The nightly run against Kubernetes, as far as no cluster is needed: its steps in order, and what it says it found."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.manifests import ROOT

SCRIPT = ROOT / ".ci/nightly-chaos"
FINDINGS = ROOT / ".ci/night_findings.py"
SAMPLE = ROOT / "tests/data/run-sample"
TOOLS = ("docker", "kind", "helm", "kubectl", "modprobe", "sudo", "python")
ANSWERS = """case "$*" in
    *"cat runs/code") echo "${VERDICT:-0}" ;;
    *"cat runs/log") echo "what the run said" ;;
    *"-cf - .") cd "$(mktemp -d)" && echo a-table >summary.md && tar -cf - . ;;
esac"""
"""What kubectl prints of the runner's pod."""
PINNED = f"kindest/node:v1.35.8@sha256:{'0' * 64}"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The script in a folder of its own, so that nothing is written into the repository."""
    root = tmp_path / "checkout"
    (root / ".ci").mkdir(parents=True)
    shutil.copy(SCRIPT, root / ".ci")
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "deploy/experiments").mkdir(parents=True)
    return root


def night(root: Path, step: str, tools: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(root), "NODE_IMAGE": PINNED, **variables}
    command = [str(root / ".ci/nightly-chaos"), step]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of programs that note how they were called; the run in the cluster ends with the exit code $VERDICT."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in TOOLS:
        path = folder / name
        path.write_text(
            f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/calls"\n{ANSWERS if name == "kubectl" else ""}\n'
        )
        path.chmod(0o755)
    return folder


def calls(tools: Path) -> list[str]:
    return (tools.parent / "calls").read_text().splitlines()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "CHAOS_MESH_CHARTS is not set"),
        ({"CHAOS_MESH_CHARTS": "charts", "NODE_IMAGE": "kindest/node:v1.35.8"}, "not pinned by a digest"),
        ({"CHAOS_MESH_CHARTS": "charts", "EXPERIMENTS": "nowhere"}, "EXPERIMENTS is no folder: nowhere"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_made(
    checkout: Path, tools: Path, variables: Mapping[str, str], said: str
) -> None:
    ended = night(checkout, "all", tools, **variables)
    assert (ended.returncode, said in ended.stderr) == (2, True), ended.stderr
    assert not (tools.parent / "calls").exists()


def test_a_program_that_is_not_there_is_named(checkout: Path, tools: Path) -> None:
    (tools / "kind").unlink()
    ended = night(checkout, "preflight", tools, CHAOS_MESH_CHARTS="charts")
    assert (ended.returncode, ended.stderr) == (
        2,
        "nightly-chaos: kind is not on PATH: it makes the cluster\n",
    )


@pytest.mark.parametrize("verdict", [0, 1])
def test_a_night_goes_its_steps_in_order_and_its_cluster_goes_whatever_was_found(
    checkout: Path, tools: Path, verdict: int
) -> None:
    ended = night(checkout, "all", tools, CHAOS_MESH_CHARTS="charts", VERDICT=str(verdict))
    assert ended.returncode == verdict, ended.stderr
    order = [
        f"kind create cluster --name aftershock --image {PINNED}",
        "helm install chaos-mesh chaos-mesh --repo charts --version 2.8.3",
        "docker build -f deploy/docker/server-cuda.Dockerfile",
        "docker build -f deploy/docker/runner.Dockerfile",
        "kind load docker-image",
        "kubectl --kubeconfig",
        f"kubectl --kubeconfig {checkout}/runs/kind.kubeconfig -n inference exec deployment/aftershock-runner -- sh -c",
        "python .ci/night_findings.py runs/nightly runs/nights",
        "kind delete cluster --name aftershock",
    ]
    made = calls(tools)
    at = [next(index for index, call in enumerate(made) if call.startswith(start)) for start in order]
    assert at == sorted(at)
    assert any("cluster-info dump" in call for call in made) == bool(verdict)
    assert not list((checkout / "runs").glob("*.kubeconfig"))


def test_the_catalogue_is_run_in_the_runners_pod_and_what_it_found_is_brought_here(
    checkout: Path, tools: Path
) -> None:
    ended = night(checkout, "run", tools, VERDICT="3")
    assert (ended.returncode, ended.stdout) == (3, "what the run said\n"), ended.stderr
    assert (checkout / "runs/nightly/summary.md").read_text() == "a-table\n"
    started = calls(tools)[0]
    assert "exec deployment/aftershock-runner -- sh -c" in started
    assert "aftershock run deploy/experiments --out runs/nightly" in started


def test_a_connection_that_breaks_is_no_end_of_the_run(checkout: Path, tools: Path) -> None:
    breaks = f'[ -e "{checkout}/broken" ] || case "$*" in *"cat runs/code") touch "{checkout}/broken"; exit 1;; esac\n'
    kubectl = tools / "kubectl"
    kubectl.write_text(kubectl.read_text().replace("case", f"{breaks}case", 1))
    ended = night(checkout, "run", tools, LOOK_EVERY_S="0")
    assert ended.returncode == 0, ended.stderr
    assert (checkout / "broken").exists()


def test_a_smaller_server_is_built_where_an_index_of_cpu_wheels_is_named(checkout: Path, tools: Path) -> None:
    night(checkout, "images", tools, TORCH_CPU_INDEX="an-index")
    assert calls(tools)[0].startswith(
        "docker build -f deploy/docker/server.Dockerfile --build-arg PIP_EXTRA_INDEX_URL=an-index"
    )


JUNIT = """<testsuites><testsuite name="aftershock.catalogue">
<testcase name="pod-kill-30" time="1"><failure message="goodput was back after 20 s, 100% late"/></testcase>
<testcase name="sham" time="1"/>
<testcase name="network-delay" time="1"><error message="inconclusive:&#10;never injected"/></testcase>
</testsuite></testsuites>"""


def findings(runs: Path, nights: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **variables}
    command = [sys.executable, str(FINDINGS), str(runs), str(nights)]
    return subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def test_each_experiment_that_did_not_pass_is_an_annotation_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text(JUNIT)
    ended = findings(tmp_path, tmp_path / "nights")
    said = [line for line in ended.stdout.splitlines() if line.startswith("::")]
    assert said == [
        "::error title=pod-kill-30::failure: goodput was back after 20 s, 100%25 late",
        "::error title=network-delay::error: inconclusive:%0Anever injected",
    ]
    # What was found is the catalogue's exit code, which was heard.
    assert ended.returncode == 0


def sample_run(folder: Path, started_at: str) -> None:
    """A run that was recorded, as if it had been another night."""
    folder.mkdir(parents=True)
    journal = json.loads((SAMPLE / "journal.json").read_text())
    (folder / "journal.json").write_text(json.dumps({**journal, "started_at": started_at}))
    shutil.copyfile(SAMPLE / "experiment.yaml", folder / "experiment.yaml")


def test_each_night_is_kept_beside_the_last_thirty_and_its_trend_goes_to_the_summary(tmp_path: Path) -> None:
    runs, nights, summary = tmp_path / "runs", tmp_path / "nights", tmp_path / "summary.md"
    for day in range(1, 31):
        sample_run(nights / "pod-kill-30" / f"202601{day:02d}T025300", f"2026-01-{day:02d}T02:53:00+00:00")
    sample_run(runs / "pod-kill-30", "2026-01-31T02:53:00+00:00")
    (runs / "junit.xml").write_text("<testsuites/>")
    ended = findings(runs, nights, GITHUB_STEP_SUMMARY=str(summary))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    there = sorted(path.name for path in (nights / "pod-kill-30").iterdir())
    assert (len(there), there[0], there[-1]) == (30, "20260102T025300", "20260131T025300")
    assert "### pod-kill-30" in summary.read_text()
    assert "2026-01-31T02:53" in summary.read_text()


def test_the_first_night_has_no_trend(tmp_path: Path) -> None:
    sample_run(tmp_path / "runs" / "pod-kill-30", "2026-01-31T02:53:00+00:00")
    (tmp_path / "runs" / "junit.xml").write_text("<testsuites/>")
    ended = findings(tmp_path / "runs", tmp_path / "nights")
    assert (ended.returncode, ended.stdout) == (0, "One night is no trend yet.\n")


def test_a_night_that_left_nothing_is_an_error(tmp_path: Path) -> None:
    ended = findings(tmp_path, tmp_path / "nights")
    assert ended.returncode == 1
    assert "nothing was run" in ended.stdout
