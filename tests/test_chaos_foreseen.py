"""What is sure to fail is refused before anything starts, by `validate`, `plan` and `run`, with its line."""

from pathlib import Path

import pytest

from chaos.cli import main
from chaos.errors import ExitCode
from tests.test_chaos_run import EXPERIMENT, MANIFEST, write_experiment

KILL_ALL = MANIFEST.replace('mode: fixed\n  value: "1"', "mode: all")
REFUSED = {
    "more targets than allowed": (
        ("max_targets: 1", "max_targets: 1"),
        KILL_ALL,
        "fault.max_targets: expected at least 3: kill.yaml (all) could hit 3 of the 3 that it matches, got 1",
    ),
    "a larger share than allowed": (
        ("max_targets: 1", "max_targets: 3, max_share: 50%"),
        KILL_ALL,
        "fault.max_share: expected a share that holds 3 of 3 replicas: kill.yaml (all) could hit 3 of the 3 that",
    ),
    "what is protected": (
        ("max_targets: 1", "max_targets: 3, protected_zones: [zone-a]"),
        MANIFEST,
        "fault.manifest: expected a selector that matches nothing protected, this one matches 1 such",
    ),
    "a rate that nobody sends": (
        ("rate: 25", "rate: 2000000"),
        MANIFEST,
        "load.rate: expected at most 10000 requests a second from 1 of the load's processes, got 2000000",
    ),
    "a plan that no memory holds": (
        ("observe: 20s", "observe: 1000h"),
        MANIFEST,
        "load.rate: expected at most 2.777 requests a second: 3.60002e+06 s hold 10,000,000 of them at most, got 25",
    ),
    "replicas that no ports are left for": (
        ("replicas: 3", "replicas: 100000"),
        MANIFEST,
        "target.local.replicas: expected at most 6000: each takes 2 of 12000 ports, got 100000",
    ),
}


@pytest.mark.parametrize("verb", ["validate", "plan", "run"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_sure_to_fail_is_refused_with_file_line_key_value_and_what_was_expected(
    name: str, verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (old, new), manifest, complaint = REFUSED[name]
    assert old in EXPERIMENT
    path = write_experiment(tmp_path / "in", EXPERIMENT.replace(old, new), manifest)
    out = ["--out", str(tmp_path / "out")] if verb == "run" else []
    assert main([verb, str(path), *out]) == ExitCode.WRONG_INPUT
    said = capsys.readouterr().err
    assert f"{path}:" in said
    assert complaint in said
    assert len(said) < 1000
    assert not (tmp_path / "out").exists(), "nothing was started"


def test_a_fault_that_waits_for_names_that_a_run_draws_is_left_to_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = MANIFEST.replace("labelSelectors: {app: reference-server}", "pods: {inference: [nobody-yet]}")
    assert named != MANIFEST
    path = write_experiment(tmp_path / "in", EXPERIMENT, named)
    assert main(["validate", str(path)]) == ExitCode.PASSED, capsys.readouterr().err
