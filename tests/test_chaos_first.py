"""`aftershock init` writes an experiment that is valid as it is, and says what to do with it."""

from pathlib import Path

import pytest

from chaos.cli import main
from chaos.errors import ExitCode
from chaos.experiment.experiment import read_experiment

URL = ("--url", "http://127.0.0.1:8000/v1")
COMMAND = ("--command", 'sh -c "exec serve --port {port}"', "--ready-path", "/readyz")
CLUSTER = ("--namespace", "inference", "--selector", "app.kubernetes.io/name=yes", "--service", "vllm")


@pytest.mark.parametrize(
    ("options", "kind", "faults"), [(URL, "external", 0), (COMMAND, "local", 1), (CLUSTER, "kubernetes", 1)]
)
def test_what_it_writes_is_valid_commented_and_what_was_asked_for(
    options: tuple[str, ...], kind: str, faults: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "sub" / "My first.yaml"
    assert main(["init", *options, "--out", str(path)]) == ExitCode.PASSED
    said = capsys.readouterr().out
    assert f"aftershock validate '{path}'" in said
    experiment = read_experiment(path)
    assert (experiment.spec.experiment, experiment.target.kind, len(experiment.faults)) == (
        "my-first",
        kind,
        faults,
    )
    assert path.read_text().count("#") > 10
    assert main(["validate", str(path)]) == ExitCode.PASSED, capsys.readouterr()
    if kind == "local":
        assert '"exec serve --port {port}"' in path.read_text()
    if kind == "kubernetes":
        assert "app.kubernetes.io/name: 'yes'" in (path.parent / "pod-kill.yaml").read_text()


def test_nothing_that_is_there_is_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pod-kill.yaml").write_text("mine")
    assert main(["init", *COMMAND, "--out", str(tmp_path / "one.yaml")]) == ExitCode.WRONG_INPUT
    assert "pod-kill.yaml" in capsys.readouterr().err
    assert (tmp_path / "pod-kill.yaml").read_text() == "mine"
    assert not (tmp_path / "one.yaml").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--url", "http://sk-1@host"), "api_key_env"),
        (("--command", "serve"), "{port}"),
        (("--namespace", "inference"), "--selector"),
        (("--namespace", "Not A Name", "--selector", "a=b", "--service", "s"), "Not A Name"),
        (("--namespace", "n", "--selector", "a=b c", "--service", "s"), "b c"),
    ],
)
def test_what_cannot_be_written_well_is_refused_and_leaves_nothing(
    options: tuple[str, ...], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", *options, "--out", str(tmp_path / "one.yaml")]) == ExitCode.WRONG_INPUT
    said = capsys.readouterr().err
    assert named in said
    assert "sk-1" not in said
    assert list(tmp_path.iterdir()) == []
