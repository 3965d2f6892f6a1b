"""`aftershock lint` as a whole: what it reads, what it says in which form, and with which exit code it ends."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaos.cli import main
from chaos.errors import ExitCode
from chaos.lint.check import READERS, check
from chaos.lint.files import read
from chaos.lint.registry import RULES
from chaos.lint.shorthand import models
from chaos.reading.documents import dump
from tests.support.lint_cases import CASES, Case
from tests.support.lint_manifests import (
    MODEL,
    PRIORITY,
    SERVICE,
    deployment,
    hpa,
    job,
    scaled,
    several,
)

ROOT = Path(__file__).parent.parent
ALL = {*READERS, *(rule.name for rule in RULES)}
KILL = """\
apiVersion: chaos-mesh.org/v1alpha1
kind: PodChaos
metadata: {name: kill}
spec: {action: pod-kill, mode: one, selector: {labelSelectors: {app: model}}}
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_clean_files_end_with_0_errors_with_1_and_files_that_are_none_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lint", str(write(tmp_path, "good/a.yaml", deployment()))]) == ExitCode.PASSED
    assert "1 checked, 0 not checked: 0 errors, 0 advice" in capsys.readouterr().out
    write(tmp_path, "bad/a.yaml", deployment(labels="{name: other}"))
    assert main(["lint", str(tmp_path / "bad")]) == ExitCode.DEVIATED
    found = f"{tmp_path}/bad/a.yaml:7: spec.template.metadata.labels: expected the labels of the selector"
    assert found in capsys.readouterr().out
    # The rest is looked at all the same.
    write(tmp_path, "bad/b.yaml", "a: [1\n")
    assert main(["lint", str(tmp_path / "bad")]) == ExitCode.WRONG_INPUT
    said = capsys.readouterr()
    assert found in said.out
    assert f"{tmp_path}/bad/b.yaml:2: " in said.err


def test_advice_alone_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "a.yaml", deployment(spec="replicas: 3\n"))
    assert main(["lint", str(path)]) == ExitCode.PASSED
    assert "got nothing  [advice: no-spread]" in capsys.readouterr().out


def test_a_template_is_said_to_be_one_and_a_folder_without_manifests_is_no_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "a.yaml", deployment().replace("name: model}", "name: {{ .Release.Name }}}", 1))
    assert main(["lint", str(path)]) == ExitCode.WRONG_INPUT
    said = capsys.readouterr().err
    assert "expected YAML, got a template: {{ .Release.Name }}" in said
    assert "hint: render it first" in said
    (tmp_path / "empty").mkdir()
    assert main(["lint", str(tmp_path / "empty")]) == ExitCode.WRONG_INPUT
    assert main(["lint"]) == ExitCode.WRONG_INPUT


def test_what_nobody_knows_the_schema_of_is_told_as_not_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: gear}\n"
    values = "replicaCount: 3\n"
    write(tmp_path, "a.yaml", several(deployment(), widget))
    write(tmp_path, "values.yaml", values)
    assert main(["lint", str(tmp_path)]) == ExitCode.PASSED
    said = capsys.readouterr().out
    assert "a.yaml:15: Widget gear: not checked: no schema of example.com/v1 Widget is known here" in said
    assert "values.yaml:1: a document: not checked: it has neither apiVersion nor kind" in said
    assert "1 checked, 2 not checked" in said


def test_files_of_other_programs_need_not_be_strict_and_hidden_folders_are_not_looked_into(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "a.yaml", deployment())
    write(tmp_path, ".github/workflows/test.yaml", "on: push\nname:\n")
    write(tmp_path, "values.yaml", "on: 1\nempty:\n")
    write(tmp_path, "chart/Chart.yaml", "apiVersion: v2\nname: server\nversion: 1.0.0\n")
    assert main(["lint", str(tmp_path)]) == ExitCode.PASSED
    said = capsys.readouterr().out
    assert "values.yaml:1: a file: not checked: it has neither apiVersion nor kind" in said
    assert "Chart.yaml:1: a chart: not checked: Helm makes manifests of its chart" in said
    assert ".github" not in said
    assert "1 checked, 2 not checked" in said
    # What claims to be an object is held to it.
    write(tmp_path, "values.yaml", "on: 1\nempty:\nkind: Deployment\n")
    assert main(["lint", str(tmp_path)]) == ExitCode.WRONG_INPUT


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (deployment("imag: x\n"), "containers[0].imag: unknown key (did you mean image?)"),
        (deployment(spec="replicas: '3'\n"), "spec.replicas: expected a whole number, got '3'"),
        (deployment().replace("kind: Deployment", "kind: Deploymnt"), "Deploymnt (did you mean Deployment?)"),
        (deployment().replace("apiVersion: apps/v1\n", ""), "kind: expected a kind that there is"),
        (deployment().replace("apps/v1", "app/v1"), "apiVersion: expected apps/v1, got app/v1"),
        (deployment().replace("apps/v1", "apps/v2"), "has no apps/v2 Deployment (it has apps/v1)"),
        (
            SERVICE.replace("[{port: 8000}]", "[{port: 8000, targetPort: [1]}]"),
            "targetPort: expected text: put it in quotes or a whole number, got a list",
        ),
        (scaled("{type: cpu}"), "spec.triggers[0].metadata: expected this key, got nothing"),
        (scaled("{type: cpu, metadata: {value: 80}}"), "metadata.value: expected text: put it in quotes, got 80"),
        (scaled("{type: cpu, metadata: {}}", "maxReplicas: 3\n"), "unknown key (did you mean maxReplicaCount?)"),
        (scaled("{type: cpu, metadata: {}}").replace("v1alpha1", "v1"), "apiVersion: expected keda.sh/v1alpha1"),
        (KILL.replace("pod-kill", "pod-kil"), "spec.action: expected pod-kill or"),
        ("experiment: drill\n", "hypothesis: expected this key"),
    ],
    ids=[
        "an unknown key", "a number as text", "an unknown kind", "no API", "another group", "no such version",
        "neither of two", "a key of KEDA's", "a text of KEDA's", "another's key", "another version", "a fault",
        "an experiment",
    ],
)  # fmt: skip
def test_each_object_is_held_to_the_schema_of_its_kind(
    tmp_path: Path, text: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lint", str(write(tmp_path, "a.yaml", text))]) == ExitCode.DEVIATED
    assert complaint in capsys.readouterr().out


def test_pods_of_other_peoples_objects_are_held_to_the_schema_of_pods(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = (
        "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\nmetadata: {name: shards}\nspec:\n"
        "  leaderWorkerTemplate:\n    size: 4\n    workerTemplate:\n      spec:\n        containers:\n"
        "          - {name: server, image: 'example.org/app:1', livenesProbe: {}}\n"
    )
    assert main(["lint", str(write(tmp_path, "a.yaml", group))]) == ExitCode.DEVIATED
    place = "spec.leaderWorkerTemplate.workerTemplate.spec.containers[0].livenesProbe"
    assert f"{place}: unknown key (did you mean livenessProbe?)" in capsys.readouterr().out


def test_permissions_of_files_are_octal_as_everybody_writes_them(tmp_path: Path) -> None:
    volume = "volumes: [{name: keys, secret: {secretName: keys, defaultMode: 0400}}]\n"
    path = write(tmp_path, "a.yaml", deployment(pod=volume))
    [document] = read([path]).objects
    [place] = document.spec.at("template", "spec", "volumes").each()
    assert place.at("secret", "defaultMode").number == 0o400
    assert main(["lint", str(path)]) == ExitCode.PASSED
    # Of anything else nobody knows what is meant.
    assert main(["lint", str(write(tmp_path, "b.yaml", deployment(spec="replicas: 010\n")))]) == 2


def test_pods_of_kinds_without_a_schema_are_held_to_the_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = "template: {spec: {containers: [{name: worker, image: rayproject/ray}]}}"
    ray = (
        "apiVersion: ray.io/v1\nkind: RayService\nmetadata: {name: model}\nspec:\n  rayClusterConfig:\n"
        f"    workerGroupSpecs:\n      - {worker}\n"
    )
    assert main(["lint", str(write(tmp_path, "a.yaml", ray))]) == ExitCode.DEVIATED
    place = "spec.rayClusterConfig.workerGroupSpecs[0].template.spec.containers[0].image"
    said = capsys.readouterr().out
    assert f"{place}: expected a tag other than latest" in said
    assert "RayService model: not checked: no schema of ray.io/v1 RayService is known here" in said


def test_lists_and_what_a_cluster_added_are_read_as_validate_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = PRIORITY.replace("{name: serving}", "{name: serving, uid: 0b0c, creationTimestamp: null}")
    items = "\n".join(f"- {text.replace(chr(10), chr(10) + '  ').strip()}" for text in (printed, SERVICE))
    path = write(tmp_path, "a.yaml", f"apiVersion: v1\nkind: List\nitems:\n{items}\n")
    assert (
        main(["lint", str(path), "--rule", "schema", "--rule", "unused-priority-class"]) == ExitCode.DEVIATED
    )
    said = capsys.readouterr().out
    assert "a.yaml:6: items[0].metadata.name: expected a priorityClassName that refers to it" in said
    assert "2 checked, 0 not checked: 1 errors" in said


def test_files_are_looked_at_together_and_only_what_can_be_in_one_namespace_refers(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", PRIORITY)
    write(tmp_path, "b.yaml", deployment(pod="priorityClassName: serving\n"))
    assert main(["lint", str(tmp_path / "a.yaml")]) == ExitCode.DEVIATED
    assert main(["lint", str(tmp_path)]) == ExitCode.PASSED
    budget = (
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: a, namespace: NAME}\n"
        "spec: {minAvailable: 1, selector: {matchLabels: {app: model}}}\n"
    )
    workload = deployment().replace("{name: model}", "{name: model, namespace: inference}")
    together = write(tmp_path, "c.yaml", several(workload, budget.replace("NAME", "inference")))
    apart = write(tmp_path, "d.yaml", several(workload, budget.replace("NAME", "elsewhere")))
    assert main(["lint", str(together)]) == ExitCode.DEVIATED
    assert main(["lint", str(apart)]) == ExitCode.PASSED


def test_what_a_kustomization_patches_is_no_whole_object_and_what_it_tags_is_pinned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    untagged = deployment().replace(":1.2", "")
    write(tmp_path, "base/server.yaml", untagged)
    write(
        tmp_path,
        "base/more.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: model}\nspec: {replicas: 2}\n",
    )
    assert main(["lint", str(tmp_path / "base")]) == ExitCode.DEVIATED
    said = capsys.readouterr().out
    assert "[unpinned-image]" in said
    assert "more.yaml:4: spec.selector: expected this key" in said
    kustomization = (
        "resources: [server.yaml]\npatches: [{path: more.yaml}]\n"
        "images: [{name: example.org/app, newTag: '7'}]\n"
    )
    write(tmp_path, "base/kustomization.yaml", kustomization)
    assert main(["lint", str(tmp_path / "base")]) == ExitCode.PASSED
    assert "more.yaml:1: a part: not checked: " in capsys.readouterr().out
    write(tmp_path, "base/kustomization.yaml", kustomization.replace("resources", "resource"))
    assert main(["lint", str(tmp_path / "base")]) == ExitCode.DEVIATED
    assert "resource: unknown key (did you mean resources?)" in capsys.readouterr().out


def test_rules_are_chosen_and_left_out_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write(tmp_path, "a.yaml", deployment(labels="{name: other}").replace(":1.2", "")))
    assert main(["lint", path, "--rule", "unpinned-image"]) == ExitCode.DEVIATED
    assert "1 errors" in capsys.readouterr().out
    assert main(["lint", path, "--skip", "unpinned-image", "--skip", "selector-without-labels"]) == 0
    assert main(["lint", path, "--skip", "unpinned-images"]) == ExitCode.WRONG_INPUT
    assert "expected the name of a rule (did you mean unpinned-image?)" in capsys.readouterr().err


def test_the_release_of_kubernetes_decides_what_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write(tmp_path, "a.yaml", hpa("maxReplicas: 3\n").replace("/v2", "/v2beta2")))
    assert main(["lint", path, "--kubernetes-version", "1.25"]) == ExitCode.PASSED
    assert main(["lint", path, "--kubernetes-version", "v1.26.3"]) == ExitCode.DEVIATED
    assert "apiVersion: expected autoscaling/v2" in capsys.readouterr().out
    for release in ("1.9", "2.0", "latest"):
        assert main(["lint", path, "--kubernetes-version", release]) == ExitCode.WRONG_INPUT
        assert f"expected a release from 1.25 to 1.37, got {release}" in capsys.readouterr().err


def test_json_has_everything_that_the_text_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "a.yaml", several(job("Load_1"), "apiVersion: a.example/v1\nkind: B\n"))
    assert main(["lint", str(path), "--format", "json"]) == ExitCode.DEVIATED
    whole = json.loads(capsys.readouterr().out)
    [found] = [one for one in whole["findings"] if one["rule"] == "job-name"]
    assert (found["file"], found["line"], found["key_path"]) == (str(path), 4, "metadata.name")
    assert found["severity"] == "error"
    assert found["message"].endswith("got Load_1")
    assert whole["not_checked"][0]["what"] == "B"
    assert (whole["checked"], whole["errors"]) == (1, 1)
    write(tmp_path, "b.yaml", "a: [1\n")
    assert main(["lint", str(tmp_path), "--format", "json"]) == ExitCode.WRONG_INPUT
    assert "b.yaml:2" in json.loads(capsys.readouterr().out)["unreadable"][0]


def test_annotations_for_github_stand_at_their_line_whatever_the_file_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, "a,b:c%.yaml", several(job("Load_1"), deployment(MODEL)))
    main(["lint", str(path), "--format", "github"])
    lines = capsys.readouterr().out.splitlines()
    name = f"{tmp_path}/a%2Cb%3Ac%25.yaml"
    assert f"::error file={name},line=4,title=job-name::metadata.name: expected a DNS label" in "\n".join(
        lines
    )
    assert any(line.startswith("::") for line in lines)
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in lines)


@pytest.mark.parametrize(
    "piece",
    [
        "ssl_protocols ",
        "listen ssl",
        "listen ",
        "cache_key ",
        "minver ",
        "static_configs: [",
        "\n",
        "{{",
        "- ",
    ],
)
def test_time_grows_as_the_settings_do_whatever_they_are(tmp_path: Path, piece: str) -> None:
    def took_s(times: int) -> float:
        text = f'"{(piece * times).replace(chr(10), chr(92) + "n")}"'
        path = write(
            tmp_path,
            "a.yaml",
            f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: {text}}}\n",
        )
        reading, best_s = read([path]), math.inf
        for _ in range(3):
            started_s = time.thread_time()
            check(reading, RULES, ALL, (1, 36))
            best_s = min(best_s, time.thread_time() - started_s)
        return best_s

    # Sixteen times the length: the square would be 256 times the time.
    assert took_s(32_000) / max(took_s(2_000), 1e-3) < 100


def test_the_list_names_every_rule_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--list"]) == ExitCode.PASSED
    said = capsys.readouterr().out
    for rule in RULES:
        assert f"{rule.name} ({rule.severity})\n  {rule.sentence}\n  {rule.why}\n" in said + "\n"
        assert rule.sentence.endswith(".")
        assert rule.why.endswith(".")


def test_without_the_extra_one_line_says_how_to_install_it(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", deployment())
    code = (
        "import sys\nsys.modules['kubernetes_validate'] = None\n"
        "from chaos.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, "lint", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert child.returncode == ExitCode.WRONG_INPUT
    assert child.stderr.splitlines() == [
        "aftershock: the schemas of Kubernetes' objects are not installed: kubernetes_validate is missing",
        "hint: pip install kubernetes-validate, or this project with its extra `lint`",
    ]


def test_every_model_says_where_it_is_from_and_knows_no_word_that_means_nothing() -> None:
    kinds = {model.kind for model in models()}
    assert {"ScaledObject", "DestinationRule", "NodePool", "LeaderWorkerSet", "PodMonitor"} <= kinds
    assert all(model.source.startswith("github.com/") for model in models())


def test_the_page_of_the_docs_is_what_the_rules_say() -> None:
    child = subprocess.run(
        [sys.executable, "-m", "chaos.lint", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr


def test_what_we_ship_is_clean() -> None:
    folders = [ROOT / "chaos" / "manifests", ROOT / "chaos" / "experiments", ROOT / "deploy"]
    there = [folder for folder in folders if folder.is_dir()]
    result = check(read(there), RULES, ALL, (1, 36))
    assert [found.message for found in result.findings if found.severity == "error"] == []
    assert result.refusals == []


KEYS = ["apiVersion", "kind", "metadata", "name", "spec", "template", "containers", "selector", "matchLabels"]
KEYS += [
    "metrics",
    "triggers",
    "servers",
    "tls",
    "resources",
    "limits",
    "nvidia.com/gpu",
    "data",
    "image",
    "env",
]
KEYS += ["args", "labels", "replicas", "staticConfigs", "targets", "trafficPolicy", "outlierDetection"]
TYPES = sorted({one.partition(".")[0] for rule in RULES for one in rule.types})
WORDS = [*TYPES, "v1", "apps/v1", "policy/v1", "x/v1", "networking.istio.io/v1", "keda.sh/v1alpha1"]
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=8) | st.sampled_from(WORDS)
VALUE = st.recursive(
    TEXT | st.integers(-(2**40), 2**40) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | TEXT, inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECT = st.fixed_dictionaries(
    {"apiVersion": st.sampled_from(WORDS) | VALUE, "kind": st.sampled_from(WORDS) | VALUE},
    optional={"metadata": VALUE, "spec": VALUE, "data": VALUE, "items": VALUE},
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(objects=st.lists(OBJECT, min_size=1, max_size=3))
def test_any_object_is_checked_or_refused_and_never_a_crash(
    tmp_path: Path, objects: list[dict[str, object]]
) -> None:
    path = write(tmp_path, "a.yaml", several(*(dump(values) for values in objects)))
    result = check(read([path]), RULES, ALL, (1, 36))
    assert result.refusals or result.findings or result.unchecked or result.checked == len(objects)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(case=st.sampled_from(CASES), data=st.data())
def test_any_value_in_any_place_of_a_manifest_is_told_and_never_a_crash(
    tmp_path: Path, case: Case, data: st.DataObject
) -> None:
    lines = case.good.splitlines()
    number = data.draw(st.integers(0, len(lines) - 1))
    key, colon, _ = lines[number].partition(":")
    value = data.draw(st.sampled_from(["3", "{}", "[]", "[[]]", "x", "{a: [1]}", "1.5", "true"]))
    lines[number] = f"{key}{colon} {value}"
    path = write(tmp_path, "a.yaml", "\n".join(lines) + "\n")
    result = check(read([path]), RULES, ALL, (1, 36))
    assert result.refusals or result.findings or result.unchecked or result.checked


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60) | st.text("a: -[]{}&*!|>'\"#\n\tkindapiVersion", max_size=40).map(str.encode))
def test_any_bytes_are_linted_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    result = check(read([path]), RULES, ALL, (1, 36))
    assert result.refusals or result.findings or result.unchecked or result.checked
