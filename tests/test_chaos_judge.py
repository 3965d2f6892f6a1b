"""What a recorded run comes to when its raw files are judged again: as they are, and with one thing changed."""

import json
import re
import shutil
from pathlib import Path

import pytest

from chaos.cli import main
from chaos.errors import ExitCode
from chaos.record import journal as journals

SAMPLE = Path(__file__).parent / "data" / "run-sample"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLE, tmp_path / "copy"))


def test_judging_the_same_records_again_gives_the_same_journal(copy: Path) -> None:
    recorded = json.loads((copy / "journal.json").read_text())
    (copy / "journal.json").write_text(json.dumps({"schema": 1}))
    assert main(["report", str(copy)]) == recorded["exit_code"] == ExitCode.PASSED
    assert json.loads((copy / "journal.json").read_text()) == recorded


def test_alerts_of_a_run_have_their_times_and_a_severity() -> None:
    alerts = journals.read(SAMPLE / "journal.json").alerts
    assert alerts
    for alert in alerts:
        assert alert.severity in ("page", "ticket")
        assert alert.resolved_s is None or alert.fired_s < alert.resolved_s


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("recovery.capacity <= 10s", "recovery.capacity <= 0s", ExitCode.DEVIATED),
        ("p99(ttft, baseline) <= 500ms", "p99.9(ttft, all) <= 2s", ExitCode.INCONCLUSIVE),
    ],
    ids=["a bound of 0 s deviates", "too few requests for a claim are inconclusive"],
)
def test_exit_code_follows_the_records_and_the_bound(
    copy: Path, old: str, new: str, expected: ExitCode
) -> None:
    (copy / "processor.jsonl").unlink()  # a machine that is known to have been full excuses a deviation
    experiment = (copy / "experiment.yaml").read_text()
    assert old in experiment
    (copy / "experiment.yaml").write_text(experiment.replace(old, new))
    assert main(["report", str(copy)]) == expected


def test_a_deviation_on_a_machine_that_was_full_is_inconclusive_and_says_so(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = (copy / "experiment.yaml").read_text()
    (copy / "experiment.yaml").write_text(
        experiment.replace("recovery.capacity <= 10s", "recovery.capacity <= 0s")
    )
    samples = [json.loads(line) for line in (copy / "processor.jsonl").read_text().splitlines()]
    for sample in samples:
        sample["busy_s"] = sample["machine_cores"] * (sample["at_s"] - samples[0]["at_s"])
    (copy / "processor.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    assert main(["report", str(copy)]) == ExitCode.INCONCLUSIVE
    journal = json.loads((copy / "journal.json").read_text())
    [capacity] = [one for one in journal["assertions"] if one["expression"] == "recovery.capacity <= 0s"]
    assert capacity["verdict"] == "inconclusive"
    assert capacity["reason"].startswith("the machine was full for 100% of the time from the fault")
    assert journal["processor"]["note"].startswith("the machine was full for 100% of the fault phase")
    assert "The machine was full for 100%" in (copy / "summary.md").read_text()
    assert "machine   full for " in capsys.readouterr().out


def test_a_folder_without_samples_of_the_processor_is_judged_as_before(copy: Path) -> None:
    journal = json.loads((copy / "journal.json").read_text())
    (copy / "processor.jsonl").unlink()
    main(["report", str(copy)])
    again = json.loads((copy / "journal.json").read_text())
    assert again["processor"] is None
    assert "no samples" in again["processor_reason"]
    assert again["phases"] == journal["phases"]


def test_missing_rows_make_the_run_inconclusive(copy: Path) -> None:
    rows = (copy / "requests.jsonl").read_text().splitlines(keepends=True)
    (copy / "requests.jsonl").write_text("".join(rows[:-1]))
    assert main(["report", str(copy)]) == ExitCode.INCONCLUSIVE
    reasons = json.loads((copy / "journal.json").read_text())["reasons"]
    assert any(re.match(r"1 of \d+ planned arrivals have no row", reason) for reason in reasons)


def test_counts_that_disagree_make_the_run_inconclusive(copy: Path) -> None:
    counts = json.loads((copy / "counts.json").read_text())
    counts["problems"] = ["the client sent 9 requests, the gateway counted 8"]
    (copy / "counts.json").write_text(json.dumps(counts))
    assert main(["report", str(copy)]) == ExitCode.INCONCLUSIVE
    assert counts["problems"][0] in json.loads((copy / "journal.json").read_text())["reasons"]


def as_an_earlier_version_left_it(folder: Path) -> None:
    """One fault without an id, tied to its evidence by its name; one file of what Prometheus told; no such events."""
    kept = {"step_s": 1.0, "series": json.loads((folder / "series.json").read_text())}
    kept["reconciliation"] = json.loads((folder / "counts.json").read_text())
    for replica in kept["reconciliation"]["replicas"]:
        replica["killed"] = replica.pop("gone")
        for key in [key for key in replica if key.endswith("_reason")]:
            del replica[key]
    for name in ("alerts", "engine"):
        kept[name] = json.loads((folder / f"{name}.json").read_text())
    for name in ("series", "alerts", "engine", "counts", "timetable"):
        (folder / f"{name}.json").unlink()
    for alert in kept["alerts"]:
        alert.pop("resolved_s_reason", None)
    (folder / "metrics.json").write_text(json.dumps(kept))
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    known = {"name", "kind", "fidelity", "candidates", "targets", "uids", "how", "wall"}
    for event in events:
        if event["kind"] == "replica_unready":
            event["detail"]["why"] = event["detail"]["why"].removesuffix("#1")
        if event["kind"].startswith("fault_"):
            event["detail"] = {
                **({"fault": "pod-kill-30"} if "how" in event["detail"] else {}),
                **{key: value for key, value in event["detail"].items() if key in known},
            }
    told = [event for event in events if event["kind"] != "target_opened"]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in told))
    (folder / "journal.json").write_text(json.dumps({"schema": 1, "experiment": "pod-kill-30"}))


def test_a_folder_of_an_earlier_version_comes_to_the_same(copy: Path) -> None:
    recorded = journals.read(copy / "journal.json")
    as_an_earlier_version_left_it(copy)
    assert main(["report", str(copy)]) == ExitCode.PASSED
    again = journals.read(copy / "journal.json")
    assert (again.recovery, again.assertions, again.load) == (
        recorded.recovery,
        recorded.assertions,
        recorded.load,
    )
    assert (again.alerts, again.reconciliation) == (recorded.alerts, recorded.reconciliation)
    [fault], [before] = again.faults, recorded.faults
    assert (fault.id, fault.verified, fault.targets) == ("pod-kill-30", True, before.targets)
    assert fault.done == "were killed"
    assert again.target == "local"


def test_rows_that_are_no_account_of_their_plan_make_a_run_inconclusive(copy: Path) -> None:
    lines = (copy / "requests.jsonl").read_text().splitlines()
    moved = json.loads(lines[100])
    moved["intended_s"] = moved["dispatched_s"]
    lines[100] = json.dumps(moved)
    (copy / "requests.jsonl").write_text("\n".join(lines) + "\n")
    assert main(["report", str(copy)]) == ExitCode.INCONCLUSIVE
    reasons = journals.read(copy / "journal.json").reasons
    assert reasons == (f"row {moved['index']} has another intended start than the plan",)


def test_a_victim_that_is_withdrawn_a_moment_before_it_is_killed_is_not_missing_in_the_baseline(
    copy: Path,
) -> None:
    fault = journals.read(copy / "journal.json").faults[0]
    lines = [json.loads(line) for line in (copy / "events.jsonl").read_text().splitlines()]
    withdrawn = [
        line for line in lines if line["kind"] == "replica_unready" and line["at_s"] <= fault.started_s + 1
    ]
    assert withdrawn
    first = min(withdrawn, key=lambda line: float(line["at_s"]))
    first["at_s"] = fault.started_s - 0.05
    (copy / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["report", str(copy)]) == ExitCode.PASSED
    journal = journals.read(copy / "journal.json")
    assert journal.faults[0].started_s == pytest.approx(fault.started_s - 0.05)
    assert journal.reasons == ()
