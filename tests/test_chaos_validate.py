"""`aftershock validate` on the files that people have, and what a run makes of what it warns of."""

import json
from pathlib import Path

import pytest
import yaml

from chaos.cli import main
from chaos.errors import ExitCode, InputError
from chaos.experiment.experiment import read_experiment
from chaos.experiment.meant import require_meant
from chaos.faults.objects import read_manifest

ROOT = Path(__file__).parent.parent
KILL = """\
apiVersion: chaos-mesh.org/v1alpha1
kind: PodChaos
metadata:
  name: kill
spec:
  action: pod-kill
  mode: one
  selector:
    labelSelectors: {app: reference-server}
"""
SWEEPING = KILL.replace("    labelSelectors: {app: reference-server}\n", "    namespaces: [inference]\n")
NAMES = KILL.replace("PodChaos", "DNSChaos").replace("action: pod-kill", "action: error\n  duration: 5s")
SCHEDULE = """\
apiVersion: chaos-mesh.org/v1alpha1
kind: Schedule
metadata: {name: often}
spec:
  schedule: "@every 4s"
  type: PodChaos
  podChaos:
    action: pod-kill
    mode: one
    selector: {labelSelectors: {app: reference-server}}
"""
EXPERIMENT = """\
experiment: drill
hypothesis: Nothing is felt.
target: {local: {replicas: 3}}
load: {rate: 30, prompt_tokens: 4, output_tokens: 4}
phases: {warmup: 1s, baseline: 20s, observe: 60s}
fault:
  manifest: kill.yaml
  max_targets: 3
recovery: {within: 10s, hold: 5s}
assertions: [lost_requests <= 100]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    (tmp_path / "kill.yaml").write_text(KILL)
    return tmp_path


def changed(folder: Path, name: str, old: str, new: str) -> Path:
    path = folder / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    return path


def test_every_file_of_a_folder_is_checked_whatever_its_ending(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.yml").write_text(KILL)
    (tmp_path / "b.yaml").write_text(NAMES)
    (tmp_path / "c.json").write_text('{\n\t"apiVersion": "v2",\n\t"kind": "PodChaos"\n}')
    (tmp_path / "notes.txt").write_text("no manifest")
    assert main(["validate", str(tmp_path)]) == ExitCode.WRONG_INPUT
    said = capsys.readouterr()
    assert f"{tmp_path / 'deep' / 'a.yml'}: PodChaos/pod-kill kill (one)" in said.out
    assert "DNSChaos kill: valid, not runnable here, because replicas here ask no DNS server" in said.out
    assert f"{tmp_path / 'c.json'}:1: metadata: expected this key" in said.err
    assert "notes.txt" not in said.out + said.err
    assert main(["validate", str(tmp_path / "deep")]) == ExitCode.PASSED


def test_what_is_valid_and_runs_nowhere_here_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "kill.yaml").write_text(KILL)
    (tmp_path / "names.yaml").write_text(NAMES)
    assert main(["validate", str(tmp_path)]) == ExitCode.NOT_RUNNABLE_HERE
    (tmp_path / "wrong.yaml").write_text(KILL.replace("pod-kill", "pod-kil"))
    assert main(["validate", str(tmp_path)]) == ExitCode.WRONG_INPUT, "a mistake is louder"


def test_a_folder_without_manifests_is_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(tmp_path)]) == ExitCode.WRONG_INPUT
    assert "expected files that end in .yaml, .yml, .json" in capsys.readouterr().err


def test_what_kubectl_prints_is_read_and_what_it_added_is_left_aside_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "printed.yaml"
    added = (
        "  uid: 0b0c\n  resourceVersion: '7'\n  creationTimestamp: null\n  managedFields: [{manager: x}]\n"
    )
    path.write_text(KILL.replace("spec:\n", f"{added}status: {{conditions: []}}\nspec:\n"))
    assert main(["validate", str(path)]) == ExitCode.PASSED
    said = capsys.readouterr().out
    for what in ("metadata.uid", "metadata.resourceVersion", "metadata.managedFields", "status"):
        assert f": {what}: added by a cluster, and left aside" in said
    assert f"{path}:7: metadata.creationTimestamp: null, the same as no key" in said
    assert read_manifest(path)[0].spec == read_manifest(write(tmp_path, KILL))[0].spec


def write(folder: Path, text: str) -> Path:
    path = folder / "written.yaml"
    path.write_text(text)
    return path


def test_lists_and_several_documents_hold_an_object_each(tmp_path: Path) -> None:
    several = write(tmp_path, f"---\n{KILL}---\n---\n{SCHEDULE}")
    assert [(one.label, one.name) for one in read_manifest(several)] == [
        ("PodChaos/pod-kill", "kill"),
        ("Schedule", "often"),
    ]
    items = ",\n".join(json.dumps(yaml.safe_load(text)) for text in (KILL, SCHEDULE))
    listed = write(tmp_path, f'{{"apiVersion": "v1", "kind": "List", "items": [\n{items}\n]}}')
    assert [one.name for one in read_manifest(listed)] == ["kill", "often"]
    wrong = write(tmp_path, listed.read_text().replace('"pod-kill"', '"pod-kil"'))
    with pytest.raises(InputError, match=r"written\.yaml:2: items\[0\]\.spec\.action: expected pod-kill or"):
        read_manifest(wrong)
    deep = write(
        tmp_path, listed.read_text().replace("pod-kil", "pod-kill").replace('"mode": "one"', '"mode": 1')
    )
    with pytest.raises(InputError, match=r"items\[0\]\.spec\.mode: expected"):
        read_manifest(deep)
    with pytest.raises(InputError, match=r"items: expected a list of objects"):
        read_manifest(write(tmp_path, "apiVersion: v1\nkind: List\nitems: [1]\n"))


def test_a_namespace_that_is_not_named_is_that_of_whoever_asks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(folder, SWEEPING.replace("    namespaces: [inference]\n", "    pods: {}\n"))
    assert main(["validate", str(path)]) == ExitCode.PASSED
    assert "every pod of default is meant" in capsys.readouterr().out
    assert main(["validate", "--namespace", "serving", str(path)]) == ExitCode.PASSED
    assert "every pod of serving is meant" in capsys.readouterr().out
    # In an experiment: where the target's replicas are.
    assert read_experiment(folder / "experiment.yaml").faults[0].fault.namespace == "inference"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            KILL.replace("name: kill", "name: {{ .Release.Name }}-kill"),
            ":4: expected YAML, got a template: {{ .Release",
        ),
        (
            "{{- if .Values.chaos }}\n" + KILL + "{{- end }}\n",
            ":1: expected YAML, got a template: {{- if .Values",
        ),
        (KILL.replace("mode: one", "mode: one\n  scheduler: {cron: '@every 1m'}"), "since Chaos Mesh 2.0"),
        (
            KILL.replace("mode: one", "mode: one\n  duration: 30"),
            "spec.duration: expected text: put it in quotes",
        ),
        (KILL.replace("name: kill", "name: " + "k" * 254), "metadata.name: expected a name of at most 253"),
        (KILL.replace("mode: one", "mode: one\n  mode: all"), "expected each key once"),
    ],
    ids=["a name of Helm's", "a condition of Helm's", "1.x", "a number", "a long name", "a key twice"],
)
def test_what_people_have_and_is_no_manifest_is_told_what_it_is(
    tmp_path: Path, text: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", str(write(tmp_path, text))]) == ExitCode.WRONG_INPUT
    assert complaint in capsys.readouterr().err


def test_a_manifest_for_an_experiment_and_an_experiment_for_a_manifest_are_told_in_one_line(
    folder: Path,
) -> None:
    with pytest.raises(InputError) as caught:
        read_experiment(folder / "kill.yaml")
    assert str(caught.value) == f"{folder / 'kill.yaml'}: expected an experiment, got a manifest"
    changed(folder, "experiment.yaml", "manifest: kill.yaml", "manifest: experiment.yaml")
    with pytest.raises(InputError, match=r"expected a manifest, which has an apiVersion, got an experiment$"):
        read_experiment(folder / "experiment.yaml")


def test_what_is_doubted_is_warned_of_and_not_run_unless_it_is_meant(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "kill.yaml").write_text(SWEEPING)
    assert main(["validate", str(folder / "kill.yaml")]) == ExitCode.PASSED
    warning = f"{folder / 'kill.yaml'}:8: spec.selector: expected a condition"
    assert f"warning: {warning}" in capsys.readouterr().out

    out = folder / "run"
    assert main(["run", str(folder / "experiment.yaml"), "--out", str(out)]) == ExitCode.WRONG_INPUT
    said = capsys.readouterr().err
    assert warning in said
    assert "(whole-namespace)" in said
    assert "accept: [whole-namespace]" in said
    assert not out.exists()

    changed(folder, "experiment.yaml", "max_targets: 3", "max_targets: 3\n  accept: [whole-namespace]")
    require_meant(read_experiment(folder / "experiment.yaml"))
    assert main(["validate", str(folder / "experiment.yaml")]) == ExitCode.PASSED


def test_what_nobody_doubts_cannot_be_accepted(folder: Path) -> None:
    path = changed(folder, "experiment.yaml", "max_targets: 3", "max_targets: 3\n  accept: [whole-namespace]")
    with pytest.raises(InputError, match=r"experiment\.yaml:9: fault\.accept\[0\]: expected nothing"):
        require_meant(read_experiment(path))


def test_what_would_never_be_in_force_cannot_be_accepted_either(folder: Path) -> None:
    changed(folder, "kill.yaml", "action: pod-kill", "action: pod-failure\n  duration: -5s")
    path = changed(folder, "experiment.yaml", "max_targets: 3", "max_targets: 3\n  until: 5s")
    with pytest.raises(InputError, match=r"over before anything is injected.*\(over-at-once\)") as caught:
        require_meant(read_experiment(path))
    assert caught.value.hint is None


def test_a_fault_without_an_end_is_meant_where_the_experiment_ends_it(folder: Path) -> None:
    changed(folder, "kill.yaml", "action: pod-kill", "action: pod-failure")
    path = folder / "experiment.yaml"
    with pytest.raises(InputError, match="a fault that lasts must end in the run"):
        read_experiment(path)
    require_meant(
        read_experiment(changed(folder, "experiment.yaml", "max_targets: 3", "max_targets: 3\n  until: 5s"))
    )


def test_a_schedule_comes_to_an_injection_for_each_of_its_times(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "kill.yaml").write_text(SCHEDULE)
    path = folder / "experiment.yaml"
    with pytest.raises(InputError, match=r"fault\.until: expected this key: it goes on until it is deleted"):
        read_experiment(path)
    changed(folder, "experiment.yaml", "max_targets: 3", "max_targets: 3\n  until: 13s")
    steps = read_experiment(path).timetable().steps
    assert [(step.occurrence, step.action) for step in steps] == [
        (f"often#{number}", "inject") for number in (1, 2, 3)
    ]
    # One jitter moves all of it.
    assert [round(later.at_s - steps[0].at_s, 6) for later in steps] == [0.0, 4.0, 8.0]
    assert [step.draw for step in steps] == [0, 1, 2]
    assert main(["plan", str(path), "--seed", "3"]) == ExitCode.PASSED
    assert capsys.readouterr().out.count("would hit 1 of 3 candidates") == 3


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "until: 13s",
            "until: 3s",
            "fault.manifest: expected a Schedule that begins a fault before it is deleted",
        ),
        ("until: 13s", "until: 90s", "phases.observe: expected at least"),
        (
            "until: 13s",
            "until: 13s\n  when: {of: in_flight, above: 1, within: 5s}",
            "fault.when: expected no condition: a Schedule has times of its own",
        ),
    ],
    ids=["too short", "too long", "a condition"],
)
def test_a_schedule_that_does_not_fit_into_the_run_is_refused(
    folder: Path, old: str, new: str, complaint: str
) -> None:
    (folder / "kill.yaml").write_text(SCHEDULE)
    changed(folder, "experiment.yaml", "max_targets: 3", "max_targets: 3\n  until: 13s")
    path = changed(folder, "experiment.yaml", old, new)
    with pytest.raises(InputError) as caught:
        read_experiment(path)
    assert complaint in str(caught.value)


def test_an_experiment_with_a_kind_that_runs_nowhere_is_refused_with_the_reason(folder: Path) -> None:
    (folder / "kill.yaml").write_text(NAMES)
    with pytest.raises(InputError, match="that the target local can inject, replicas here ask no DNS server"):
        read_experiment(folder / "experiment.yaml")


def test_a_paused_fault_is_not_run_and_one_that_is_over_at_once_ignores_the_pause(folder: Path) -> None:
    paused = "name: kill\n  annotations: {experiment.chaos-mesh.org/pause: 'true'}"
    changed(folder, "kill.yaml", "name: kill", paused)
    require_meant(read_experiment(folder / "experiment.yaml"))
    changed(folder, "kill.yaml", "action: pod-kill", "action: pod-failure\n  duration: 5s")
    with pytest.raises(InputError, match=r"nothing is injected.*\(paused\)"):
        require_meant(read_experiment(folder / "experiment.yaml"))
