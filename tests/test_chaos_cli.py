"""The command line: what is wrong is refused before anything starts, and help teaches."""

import json
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chaos import commands
from chaos.cli import _parser, main
from chaos.errors import ExitCode
from tests.support.local_cluster import COMMAND
from tests.test_chaos_run import EXPERIMENT, MANIFEST, write_experiment

ROOT = Path(__file__).parent.parent
TOYS = re.sub("target: .*", f"target: {{local: {{replicas: 3, command: {json.dumps(COMMAND)}}}}}", EXPERIMENT)
"""The same over toys: how a run ends is the runner's doing, whatever its replicas compute."""
SHORTER = (
    TOYS.replace("baseline: 20s, observe: 20s", "baseline: 5s, observe: 12s")
    .replace("p99(ttft, baseline)", "p50(ttft, baseline)")
    .replace("within: 18s", "within: 9s")
    .replace("<= 18s", "<= 9s")
)
"""With a baseline that holds no P99 claim."""
SHIPPED = ROOT / "chaos/experiments/pod-kill-30.yaml"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("rate: 25", "raet: 25", ("small.yaml", "load.raet", "25")),
        ("rate: 25", "rate: -1", ("small.yaml", "load.rate", "-1")),
        ("warmup: 1s", "warmup: 1", ("small.yaml", "phases.warmup", "1")),
        ("seed: 5", "seed: five", ("small.yaml", "seed", "five")),
        ("recovery.service <= 18s", "recovery.servcie <= 18s", ("small.yaml", "assertions[0]", "servcie")),
        ("manifest: kill.yaml", "manifest: gone.yaml", ("small.yaml", "fault.manifest", "gone.yaml")),
        ('value: "1"', "value: 1", ("kill.yaml", "spec.value", "1")),
        ("mode: fixed", "moed: fixed", ("kill.yaml", "spec.moed", "fixed")),
        ("action: pod-kill", "action: pod-kil", ("kill.yaml", "spec.action", "pod-kil")),
        ("kind: PodChaos", "kind: StresChaos", ("kill.yaml", "kind", "StresChaos")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_understood_exits_2_naming_file_key_path_and_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, named: tuple[str, ...]
) -> None:
    assert old in EXPERIMENT + MANIFEST
    experiment = write_experiment(tmp_path / "in", EXPERIMENT.replace(old, new), MANIFEST.replace(old, new))
    assert main(["run", str(experiment), "--out", str(tmp_path / "out")]) == ExitCode.WRONG_INPUT
    complaint = capsys.readouterr().err
    assert all(word in complaint for word in named), complaint
    assert not (tmp_path / "out").exists()


def test_a_run_folder_that_holds_files_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "precious.txt").write_text("do not touch")
    assert main(["run", str(SHIPPED), "--out", str(tmp_path)]) == ExitCode.WRONG_INPUT
    assert str(tmp_path) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_blast_radius_too_small_refuses_before_anything_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TOYS.replace("replicas: 3", "replicas: 2")
    manifest = MANIFEST.replace('mode: fixed\n  value: "1"', "mode: all")
    experiment = write_experiment(tmp_path / "in", text, manifest)
    assert main(["run", str(experiment), "--out", str(tmp_path / "out")]) == ExitCode.WRONG_INPUT
    assert "fault.max_targets: expected at least 2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists(), "nothing was started"


def test_validate_tells_every_file_and_exits_2_when_one_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(MANIFEST.replace("pod-kill", "pod-kil"))
    manifest = SHIPPED.parent.parent / "manifests/pod-kill-30.yaml"
    assert main(["validate", str(SHIPPED), str(wrong), str(manifest)]) == ExitCode.WRONG_INPUT
    told = capsys.readouterr()
    assert "experiment pod-kill-30" in told.out
    assert "fixed-percent 30" in told.out
    assert "wrong.yaml" in told.err


def test_plan_names_ten_candidates_and_the_same_three_victims_for_one_seed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plans = []
    for _ in range(2):
        assert main(["plan", str(SHIPPED), "--seed", "7"]) == ExitCode.PASSED
        plans.append(capsys.readouterr().out)
    assert plans[0] == plans[1]
    assert "would hit 3 of 10 candidates" in plans[0]
    assert plans[0].count("would be hit") == 3
    assert plans[0].count("could be hit") == 7
    assert main(["plan", str(SHIPPED), "--seed", "8"]) == ExitCode.PASSED
    assert capsys.readouterr().out != plans[0]


@pytest.mark.parametrize("reads", ["true", "head -c 1"])
def test_a_reader_that_goes_is_no_mistake_and_no_word_about_a_cluster(reads: str) -> None:
    command = f"{sys.executable} -m chaos validate {SHIPPED} {SHIPPED} | {reads}; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert ended.returncode in (ExitCode.PASSED, 128 + signal.SIGPIPE), (
        "0 where it was done before the reader went"
    )


def test_report_of_what_is_no_run_folder_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == ExitCode.WRONG_INPUT
    assert str(tmp_path) in capsys.readouterr().err


def test_recover_says_when_there_is_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "lost_runs", list)  # other tests lose runs on this machine meanwhile
    assert main(["recover", "--dry-run"]) == ExitCode.PASSED
    assert "nothing to recover" in capsys.readouterr().out


@pytest.mark.parametrize(
    "verb",
    ["run", "load", "observe", "init", "lint", "compare", "trend", "validate", "plan", "report", "recover"],
)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    assert left.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 4


def test_the_short_help_of_each_verb_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """The list of verbs is shown without reading what they are made of: it says what they say."""
    texts = []
    for parser in (_parser(), _parser("")):
        parser.print_help()
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def imported_by(*arguments: str) -> set[str]:
    """The modules that an interpreter has after this command."""
    code = (
        f"import sys\ntry:\n from chaos.cli import main\n main({list(arguments)})\nexcept SystemExit: pass\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code + "print('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return set(said.split())


def test_version_and_help_import_nothing_but_the_command_line() -> None:
    for asked in ("--version", "--help"):
        ours = {
            name
            for name in imported_by(asked)
            if re.fullmatch(r"(chaos|loadtests|exporters|dashboards)(\.\w+)*", name)
        }
        assert ours == {"chaos", "chaos.cli", "chaos.errors", "chaos.interrupts"}, asked


def test_version_takes_no_more_than_a_few_times_what_the_interpreter_itself_takes() -> None:
    """0.3 s where `python -c pass` takes 0.05 s: of processor time, in turns, for the machine may be busy."""

    def used_s(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    rounds = [(used_s("-m", "chaos", "--version"), used_s("-c", "pass")) for _ in range(9)]
    assert min(ours for ours, _ in rounds) < 7 * min(bare for _, bare in rounds)


def test_help_teaches_every_verb_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(verb in text for verb in ("run", "load", "observe", "validate", "plan", "report", "recover"))
    assert all(f"\n  {code} " in text for code in (0, 1, 2, 3, 4, 5, 6, 130))
