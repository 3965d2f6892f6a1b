"""What `deploy/` holds: its objects file by file, its kustomizations, and the pod templates among them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
COMPONENTS = sorted(path.parent for path in DEPLOY.glob("components/*/kustomization.yaml"))
KUSTOMIZATIONS = [
    *sorted(DEPLOY.rglob("kustomization.yaml")),
    ROOT / "dashboards" / "kustomization.yaml",
]
_POD_TEMPLATES = (
    ("spec", "template"),
    ("spec", "jobTemplate", "spec", "template"),
    ("spec", "leaderWorkerTemplate", "leaderTemplate"),
    ("spec", "leaderWorkerTemplate", "workerTemplate"),
)


@dataclass(frozen=True)
class Manifest:
    """One object, and the file that it stands in."""

    path: Path
    values: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT / 'deploy')}:{self.kind}/{self.name}"

    @property
    def kind(self) -> str:
        return str(self.values["kind"])

    @property
    def name(self) -> str:
        return str(self.values["metadata"]["name"])

    @property
    def spec(self) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.values["spec"]
        return spec

    @property
    def is_core(self) -> bool:
        """Whether the object is one of Kubernetes' own, and no extension's."""
        group = str(self.values["apiVersion"]).rpartition("/")[0]
        return "." not in group or (group.endswith(".k8s.io") and not group.endswith("x-k8s.io"))

    @property
    def pod_templates(self) -> Iterator[Mapping[str, Any]]:
        """Of every pod that comes of it."""
        if self.kind == "NodePool":  # whose template is that of a node
            return
        for keys in _POD_TEMPLATES:
            if isinstance(template := _at(self.values, keys), Mapping):
                yield template


def _at(values: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def resource_files(folder: Path) -> list[Path]:
    """The files that a kustomization names as its resources."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return [folder / name for name in kustomization.get("resources", ())]


def manifests() -> list[Manifest]:
    """Every object of the base and of every component; patches are none."""
    return [
        Manifest(path, values)
        for folder in (DEPLOY / "base", *COMPONENTS)
        for path in resource_files(folder)
        for values in yaml.safe_load_all(path.read_text())
    ]


def named(kind: str, name: str) -> Manifest:
    """The one object of this kind and name."""
    (found,) = (each for each in manifests() if (each.kind, each.name) == (kind, name))
    return found


def containers(template: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Of a pod template."""
    spec = template["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]
