"""The catalogue of faults in the docs: complete, true, and drawn from what was measured."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest
import yaml

from chaos.experiment.experiment import read_experiment
from chaos.faults.kinds import KINDS

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / ".ci/fault_catalogue.py"
SAMPLE = ROOT / "tests/data/run-sample"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fault_catalogue", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_kind_says_what_a_client_sees_what_the_record_has_and_which_experiment_injects_it() -> None:
    words = yaml.safe_load((ROOT / "docs/data/faults.yaml").read_text())
    assert words.keys() == {kind.label for kind in KINDS}
    for label, said in words.items():
        assert said.keys() == {"sees", "record", "experiment"}, label
        shown = read_experiment(ROOT / f"chaos/experiments/{said['experiment']}.yaml")
        assert label in {planned.fault.kind.label for planned in shown.faults}, label


def test_the_page_is_what_the_script_writes() -> None:
    assert subprocess.run([sys.executable, str(SCRIPT), "--check"], cwd=ROOT, check=False).returncode == 0


def test_every_kind_has_a_manifest_on_the_page(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert [kind.label for kind in KINDS if not script.manifest_of(kind.label)] == []


def test_a_run_is_drawn_with_the_time_of_its_fault(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "sample").symlink_to(SAMPLE)
    run = json.loads(json.dumps(script.taken_in(tmp_path)))["sample"]
    journal = json.loads((SAMPLE / "journal.json").read_text())
    assert run["windows"] == [[one["started_s"], one["ended_s"]] for one in journal["faults"]]
    drawn = ET.fromstring(script.picture("sample & <more>", run))
    shapes = [child.tag.rpartition("}")[2] for child in drawn]
    assert shapes.count("rect") == 1 + len(run["windows"])
    assert shapes.count("polyline") == 1
    assert "sample & <more>" in "".join(drawn.itertext())
