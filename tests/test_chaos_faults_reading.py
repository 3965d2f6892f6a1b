"""Reading Chaos Mesh manifests: the whole of a genuine PodChaos, its webhooks, and what is refused."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from chaos.errors import InputError
from chaos.faults.fault import Fault
from chaos.faults.kinds import read_fault
from chaos.faults.manifest import Mode, Selection, amount
from chaos.reading.documents import dump, read_document, read_documents
from chaos.reading.names import DnsLabel, DnsSubdomain, LabelKey, LabelValue, PodReference
from chaos.targets.effects import Termination

SHIPPED = Path(__file__).parent.parent / "chaos" / "manifests" / "pod-kill-30.yaml"
COUNTING: tuple[Mode, ...] = ("fixed", "fixed-percent", "random-max-percent")
FULL: dict[str, Any] = {
    "apiVersion": "chaos-mesh.org/v1alpha1",
    "kind": "PodChaos",
    "metadata": {
        "name": "everything",
        "namespace": "chaos",
        "labels": {"app.kubernetes.io/part-of": "drill"},
        "annotations": {"experiment.chaos-mesh.org/pause": "false", "note": "any text, even this: ✓"},
    },
    "spec": {
        "action": "pod-kill",
        "mode": "fixed",
        "value": "2",
        "gracePeriod": 30,
        "duration": "1m30s",
        "containerNames": ["server"],
        "selector": {
            "namespaces": ["inference", "inference"],
            "labelSelectors": {"app": "server", "example.com/track": ""},
            "expressionSelectors": [
                {"key": "zone", "operator": "In", "values": ["a", "b"]},
                {"key": "canary", "operator": "DoesNotExist"},
            ],
            "annotationSelectors": {"team": "serving"},
            "fieldSelectors": {"status.phase": "Running", "spec.restartPolicy": "Always"},
            "podPhaseSelectors": ["Running", "!Pending"],
            "nodes": ["node-1"],
            "nodeSelectors": {"topology.kubernetes.io/zone": "a"},
            "pods": {"inference": ["server-0", "server-1"]},
        },
    },
}


def selection_of(fault: Fault) -> Selection:
    assert fault.selection is not None
    return fault.selection


def write(folder: Path, manifest: dict[str, Any]) -> Path:
    path = folder / "manifest.yaml"
    path.write_text(dump(manifest))
    return path


def read(folder: Path, manifest: dict[str, Any]) -> Fault:
    return read_fault(read_document(write(folder, manifest)))


def changed(*key_path: str, to: object) -> dict[str, Any]:
    manifest: dict[str, Any] = deepcopy(FULL)
    place = manifest
    for key in key_path[:-1]:
        place = place[key]
    place[key_path[-1]] = to
    return manifest


def test_shipped_manifest_is_the_pod_kill_that_it_says() -> None:
    fault = read_fault(read_document(SHIPPED))
    assert (fault.name, fault.namespace, fault.how_many) == ("pod-kill-30", "inference", "fixed-percent 30")
    assert (fault.effects, fault.duration_s, fault.manifest_path) == ((Termination(0),), 30.0, SHIPPED)
    assert (fault.kind.label, fault.kind.lasts) == ("PodChaos/pod-kill", False)
    assert selection_of(fault).selector.namespaces == ("inference",)
    assert selection_of(fault).selector.label_selectors == {"app": "reference-server"}


def test_everything_that_a_genuine_manifest_may_hold_is_read(tmp_path: Path) -> None:
    fault = read(tmp_path, FULL)
    assert (fault.how_many, fault.effects, fault.duration_s) == ("fixed 2", (Termination(30),), 90.0)
    selector = selection_of(fault).selector.model_dump(by_alias=True, mode="json")
    selector["expressionSelectors"][1].pop("values")
    assert selector == FULL["spec"]["selector"]


def test_what_is_left_out_gets_the_webhooks_default(tmp_path: Path) -> None:
    spec = {"action": "pod-kill", "mode": "one", "selector": {}}
    fault = read(tmp_path, changed("spec", to=spec))
    assert selection_of(fault).selector.namespaces == ("chaos",)
    assert (selection_of(fault).value, fault.effects, fault.duration_s) == ("", (Termination(0),), None)


def test_empty_list_of_namespaces_defaults_as_an_absent_one(tmp_path: Path) -> None:
    fault = read(tmp_path, changed("spec", "selector", "namespaces", to=[]))
    assert selection_of(fault).selector.namespaces == ("chaos",)


@pytest.mark.parametrize(
    ("mode", "value"),
    [
        *(("one", ""), ("all", ""), ("all", "no number"), ("one", "-3")),
        *(("fixed", "1"), ("fixed", "+3"), ("fixed", "007"), ("fixed", "1000000")),
        *(("fixed-percent", "1"), ("fixed-percent", "100"), ("random-max-percent", "100")),
    ],
)
def test_mode_takes_the_values_that_the_webhook_takes(tmp_path: Path, mode: str, value: str) -> None:
    manifest = changed("spec", "mode", to=mode)
    manifest["spec"]["value"] = value
    assert selection_of(read(tmp_path, manifest)).value == value


@pytest.mark.parametrize(
    ("mode", "value"),
    [
        *product(COUNTING, ["0", "-1", "30%", "30.5", " 30", "30 ", "", "3e1", "thirty", "\u0663"]),
        *(("fixed-percent", "101"), ("random-max-percent", "101"), ("fixed", str(2**63))),
    ],
    ids=repr,
)
def test_mode_refuses_the_values_that_the_webhook_refuses(tmp_path: Path, mode: str, value: str) -> None:
    manifest = changed("spec", "mode", to=mode)
    manifest["spec"]["value"] = value
    with pytest.raises(InputError, match=rf"spec\.value: expected for mode {mode} a whole number"):
        read(tmp_path, manifest)


@given(st.sampled_from(COUNTING), st.integers(-(2**64), 2**64) | st.integers(-1, 102))
def test_mode_bounds_hold_for_every_integer(mode: Mode, number: int) -> None:
    most = 2**63 - 1 if mode == "fixed" else 100
    if 1 <= number <= most:
        assert amount(mode, str(number)) == number
    else:
        with pytest.raises(ValueError, match="a whole number"):
            amount(mode, str(number))


@pytest.mark.parametrize(
    ("duration", "seconds"), [("1m30s", 90.0), ("1.5h", 5400.0), ("-5s", -5.0), ("", None), ("0", 0.0)]
)
def test_duration_is_taken_as_the_webhook_takes_it(
    tmp_path: Path, duration: str, seconds: float | None
) -> None:
    assert read(tmp_path, changed("spec", "duration", to=duration)).duration_s == seconds


@pytest.mark.parametrize(
    ("where", "value", "complaint"),
    [
        ("apiVersion", "apps/v1", "apiVersion: expected 'chaos-mesh.org/v1alpha1', got apps/v1"),
        (
            "apiVersion",
            "chaos-mesh.org/v1",
            "apiVersion: expected 'chaos-mesh.org/v1alpha1', got chaos-mesh.org/v1",
        ),
        (
            "kind",
            "Podchaos",
            "kind: expected a kind of chaos-mesh.org/v1alpha1 or aftershock.dev/v1alpha1 (did you mean PodChaos?), got",
        ),
        (
            "kind",
            "Deployment",
            "kind: expected a kind of chaos-mesh.org/v1alpha1 or aftershock.dev/v1alpha1, got",
        ),
        ("metadata.name", "Pod Kill", "metadata.name: expected a name of at most 253 lower-case letters"),
        ("metadata.labels", {"a b": "c"}, "metadata.labels['a b']: expected as key a label key"),
        ("spec.value", 2, "spec.value: expected text: put it in quotes, got 2"),
        ("spec.gracePeriod", -1, "spec.gracePeriod: expected a number from 0, got -1"),
        ("spec.gracePeriod", 1.5, "spec.gracePeriod: expected a whole number, got 1.5"),
        ("spec.gracePeriod", "30", "spec.gracePeriod: expected a whole number, got '30'"),
        ("spec.gracePeriod", True, "spec.gracePeriod: expected a whole number, got true"),
        (
            "spec.duration",
            "30",
            "spec.duration: expected a duration such as 250ms, 15s or 1m30s (a number without",
        ),
        (
            "spec.duration",
            "1d",
            "spec.duration: expected a duration such as 250ms, 15s or 1m30s (unknown unit 'd'",
        ),
        ("spec.duration", 30, "spec.duration: expected text: put it in quotes, got 30"),
        (
            "spec.mode",
            "some",
            "spec.mode: expected 'one', 'all', 'fixed', 'fixed-percent' or 'random-max-percent'",
        ),
        (
            "spec.action",
            "kill",
            "spec.action: expected pod-kill or pod-failure or container-kill (did you mean pod-kill?), got kill",
        ),
        (
            "spec.scheduler",
            {"cron": "@every 1m"},
            "since Chaos Mesh 2.0 what recurs is an object of kind Schedule",
        ),
        ("spec.containerName", "a", "spec.containerName: unknown key (did you mean containerNames?)"),
        ("spec.selector.namespaces", "inference", "spec.selector.namespaces: expected a list, got inference"),
        ("spec.selector.labelSelectors", {"app": 1}, "spec.selector.labelSelectors.app: expected text"),
        ("spec.selector.pods", {"inference": "server-0"}, "spec.selector.pods.inference: expected a list"),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_with_key_path_value_and_expectation(
    tmp_path: Path, where: str, value: object, complaint: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, changed(*where.split("."), to=value))
    assert str(caught.value).startswith(f"{tmp_path / 'manifest.yaml'}:")
    assert complaint in str(caught.value)


def test_every_problem_of_a_manifest_is_named_at_once(tmp_path: Path) -> None:
    manifest = changed("spec", "value", to=2)
    manifest["spec"]["mod"] = manifest["spec"].pop("mode")
    manifest["spec"]["selector"]["nodes"] = [1]
    with pytest.raises(InputError) as caught:
        read(tmp_path, manifest)
    for key_path in ("spec.value", "spec.mod", "spec.mode", "spec.selector.nodes[0]"):
        assert f" {key_path}: " in str(caught.value)


def keys_of_the_schema(manifest: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    free = {
        "labelSelectors",
        "annotationSelectors",
        "nodeSelectors",
        "fieldSelectors",
        "labels",
        "annotations",
        "pods",
    }
    for key, value in manifest.items():
        yield (key,)
        if isinstance(value, dict) and key not in free:
            yield from ((key, *rest) for rest in keys_of_the_schema(value))


@pytest.mark.parametrize("key_path", list(keys_of_the_schema(FULL)), ids=".".join)
def test_every_key_misspelt_is_refused_by_path_with_its_right_spelling(
    tmp_path: Path, key_path: tuple[str, ...]
) -> None:
    manifest: dict[str, Any] = deepcopy(FULL)
    place = manifest
    for key in key_path[:-1]:
        place = place[key]
    misspelt = key_path[-1] + key_path[-1][-1]
    place[misspelt] = place.pop(key_path[-1])
    with pytest.raises(InputError) as caught:
        read(tmp_path, manifest)
    where = ".".join((*key_path[:-1], misspelt))
    assert f" {where}: unknown key (did you mean {key_path[-1]}?), expected one of " in str(caught.value)


@pytest.mark.parametrize("key_path", list(keys_of_the_schema(FULL)), ids=".".join)
def test_every_key_with_a_value_of_another_shape_is_refused_by_path(
    tmp_path: Path, key_path: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, changed(*key_path, to=[[{"other": "shape"}]]))
    assert f" {'.'.join(key_path)}" in str(caught.value)


def test_each_document_of_a_bundle_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "bundle.yaml"
    path.write_text(f"---\n{SHIPPED.read_text()}---\n---\n{dump(FULL)}")
    assert [read_fault(document).name for document in read_documents(path)] == ["pod-kill-30", "everything"]


LONG = "a" * 63


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        pytest.param(
            DnsLabel,
            ["a", "a-1", "1a", LONG],
            ["", "-a", "a-", "A", "a.b", "a_b", "a\n", LONG + "a"],
            id="label",
        ),
        pytest.param(
            DnsSubdomain,
            ["a", "a.b-c.d", LONG * 4],
            ["", ".a", "a.", "a..b", "a/b", "a\n", LONG * 4 + "aa"],
            id="subdomain",
        ),
        pytest.param(
            LabelKey,
            ["app", "A_b.c-d", "example.com/app", LONG],
            ["", "/app", "a/", "a/b/c", "-a", "a b", "a\n", LONG + "a", LONG * 4 + "aa/b"],
            id="label key",
        ),
        pytest.param(
            LabelValue,
            ["", "a", "A_b.c-d", "1", LONG],
            ["-a", "a-", "a b", "a,b", "é", "a\n", LONG + "a"],
            id="label value",
        ),
        pytest.param(
            PodReference,
            ["inference/server-0", "a/b.c"],
            ["server-0", "a/", "/b", "a/b/c", "A/b", "a/b\n"],
            id="pod",
        ),
    ],
)
def test_names_are_those_of_kubernetes(kind: Any, good: list[str], bad: list[str]) -> None:
    adapter = TypeAdapter[str](kind)
    assert [adapter.validate_python(text) for text in good] == good
    for text in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(text)
