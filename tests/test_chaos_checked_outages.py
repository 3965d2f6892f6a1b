"""The shipped experiment with StatusChecks, run as it is shipped: on real replicas, under real load."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.errors import ExitCode
from chaos.record import journal as journals

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "chaos/experiments/checked-outages.yaml"
OF_THE_MACHINE = ("generator lagged", "unstable", "too few, or too many bad", "this measures the machine")
"""Words of reasons for which a machine that does other things makes the run inconclusive."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_shipped_outages_follow_their_check_and_the_service_answers_it_all_the_time(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "run", str(SHIPPED), "--out", str(tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    journal = journals.read(tmp_path / "run" / "journal.json")
    if journal.reasons or any(one.verdict == "inconclusive" for one in journal.assertions):
        reasons = [*journal.reasons, *(one.reason or "" for one in journal.assertions)]
        assert all(any(word in each for word in OF_THE_MACHINE) for each in filter(None, reasons)), said
        assert done.returncode == ExitCode.INCONCLUSIVE, said
    else:
        assert done.returncode == ExitCode.PASSED, said

    first, second = journal.faults
    assert [(one.id, one.verified, len(one.targets)) for one in (first, second)] == [
        ("first#1", True, 1),
        ("second#1", True, 1),
    ]
    answers, watchful = journal.status_checks
    assert (answers.id, answers.good, answers.how) == ("answers#1", 3, "3 good answers in a row")
    assert (watchful.id, watchful.bad, watchful.how) == ("watchful#1", 0, "its deadline was over")
    for one in (answers, watchful):
        assert one.asks.startswith(
            "GET http://reference-server.inference.svc.cluster.local:8000/v1/models every 1 s"
        )
        assert (one.workflow, one.saw, one.aborted, one.withheld) == (
            "checked-outages",
            "status 200",
            False,
            (),
        )
    assert watchful.began_s <= first.started_s, "it is asked from the beginning, beside the outages"
    assert first.started_s < answers.began_s < answers.ended_s <= second.started_s, (
        "the second waits for the answers"
    )
    steps = json.loads((tmp_path / "run" / "timetable.json").read_text())["steps"]
    planned_s = {step["occurrence"]: step["at_s"] for step in steps if step["action"] == "inject"}
    assert second.started_s < planned_s["second#1"] - 5, "and not until the deadline of its check"
