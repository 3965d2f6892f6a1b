"""What is said where `aftershock validate` and an API server judge a file differently, against a small server."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes")

from chaos.targets.kubernetes.api import Api
from tests.cluster_admission import of_files
from tests.support.fake_kubernetes import Failure, FakeKubernetes

WHO = {"mode": "one", "selector": {"namespaces": ["inference"], "labelSelectors": {"app": "server"}}}


def written(
    folder: Path, kind: str, spec: dict[str, Any], api_version: str = "chaos-mesh.org/v1alpha1"
) -> Path:
    path = folder / f"{kind}.yaml"
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    path.write_text(json.dumps(manifest, indent=1))
    return path


def asked(api: FakeKubernetes, capsys: pytest.CaptureFixture[str], *paths: Path) -> tuple[int, str]:
    with closing(Api.connect(None, api.kubeconfig)) as client:
        code = of_files(client, paths, "inference")
    return code, capsys.readouterr().out


def test_what_both_take_as_the_same_is_counted_and_nothing_is_created(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FakeKubernetes(tmp_path) as api:
        folder = tmp_path / "manifests"
        folder.mkdir()
        written(folder, "PodChaos", {"action": "pod-kill", **WHO})
        written(folder, "CustomResourceDefinition", {}, "apiextensions.k8s.io/v1")
        code, said = asked(api, capsys, folder)
        assert api.names("podchaos") == []
    assert code == 0
    assert said == (
        "2 files, 2 objects: 1 refused here as no fault (CustomResourceDefinition), 1 taken by both, as the same\n"
    )


@pytest.mark.parametrize(
    ("spec", "refusal", "complaint"),
    [
        (
            {"action": "pod-kill", **WHO},
            "denied by a webhook",
            "taken here, refused there: 403: denied by a webhook",
        ),
        ({"action": "pod-kill", "mode": "one", "grace": 1}, None, "taken there, refused here: "),
        (
            {"action": "pod-kill", "mode": "one"},
            None,
            "('selector',): None there, {",
        ),
    ],
)
def test_each_way_to_differ_is_told_with_its_file_and_ends_with_1(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spec: dict[str, Any],
    refusal: str | None,
    complaint: str,
) -> None:
    with FakeKubernetes(tmp_path) as api:
        if refusal:
            api.failures.append(Failure(403, method="POST", message=refusal))
        path = written(tmp_path, "PodChaos", spec)
        code, said = asked(api, capsys, path)
    assert code == 1
    assert f"{path}: PodChaos x: " in said
    assert complaint in said
    assert said.endswith("1 files, 1 objects: 1 different\n")
