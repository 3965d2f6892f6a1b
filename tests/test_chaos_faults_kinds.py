"""A kind of fault is a file, a line in the registry, a manifest and a row in the docs."""

import re
from pathlib import Path
from typing import Any

import pytest

from chaos.experiment.experiment import read_experiment
from chaos.faults.fault import Fault, Kind
from chaos.faults.kinds import KINDS, read_fault
from chaos.faults.objects import read_manifest
from chaos.reading.documents import dump, read_document
from chaos.targets.effects import Nothing

ROOT = Path(__file__).parent.parent
FAULTS = ROOT / "chaos" / "faults"
SHAM: dict[str, Any] = {
    "apiVersion": "aftershock.dev/v1alpha1",
    "kind": "Sham",
    "metadata": {"name": "nothing", "namespace": "inference"},
    "spec": {"mode": "one", "selector": {}},
}


def read(folder: Path, manifest: dict[str, Any]) -> Fault:
    path = folder / "manifest.yaml"
    path.write_text(dump(manifest))
    return read_fault(read_document(path))


def test_every_file_that_declares_a_kind_is_one_line_of_the_registry() -> None:
    declaring = sorted(path.stem for path in FAULTS.glob("*.py") if "\nKIND = Kind(" in path.read_text())
    registered = sorted(re.findall(r"^    (\w+)\.KIND,$", (FAULTS / "kinds.py").read_text(), re.MULTILINE))
    assert declaring == registered
    assert len(KINDS) == len(registered) == len({(k.api_version, k.kind, k.action) for k in KINDS})


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.label)
def test_a_kind_has_a_manifest_that_is_read_and_a_row_in_the_docs(kind: Kind) -> None:
    shipped = [one for path in (ROOT / "chaos/manifests").glob("*.yaml") for one in read_manifest(path)]
    assert kind in [fault.kind for one in shipped for fault in one.faults]
    page = (ROOT / "docs/manifests.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith(f"| `{kind.label}` ")]
    assert len(rows) == 1
    assert rows[0].count("|") == 6
    local = kind.fidelities.get("local")
    assert local is None or f"| {local.level} |" in rows[0]
    assert f"| {'yes' if kind.lasts else 'no'} |" in rows[0]


@pytest.mark.parametrize(
    "name", ["network-delay", "network-partition", "network-bandwidth", "sham", "pod-kill-30"]
)
def test_a_shipped_experiment_can_be_injected_by_its_target(name: str) -> None:
    experiment = read_experiment(ROOT / "chaos/experiments" / f"{name}.yaml")
    for planned in experiment.faults:
        assert experiment.target.fidelity(planned.fault).level in ("exact", "modelled")


def test_a_sham_needs_nothing_and_lasts(tmp_path: Path) -> None:
    fault = read(tmp_path, SHAM)
    assert (fault.effects, fault.kind.lasts) == ((Nothing(),), True)


def test_every_doubt_is_on_the_page_by_its_name() -> None:
    code = "\n".join(path.read_text() for path in FAULTS.rglob("*.py"))
    names = {*re.findall(r'(?:never|Doubt)\(\s*"([a-z-]+)"', code), "no-end"}
    page = (ROOT / "docs/manifests.md").read_text()
    assert len(names) > 20
    assert sorted(name for name in names if f"`{name}`" not in page) == []
