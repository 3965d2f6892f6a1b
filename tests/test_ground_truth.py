"""A small part of `python -m benchmarks.ground_truth`: simulated clusters of known truth, the whole analysis."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ground_truth.scoring import score
from benchmarks.ground_truth.worlds import WORLDS

ROOT = Path(__file__).parent.parent
SOME = (
    "^(refused (0.5|1|3|10|60)s|silent 3s|(60|90)% slow 5s|60% http_503 5s|ramp of slow 1s . 15s|bites late 8..9s"
    "|outage 6..10s of a kill|the same and one reset at F|silenced in flight, nothing else|long streams, no impact"
    "|double dip 1/2/1|30% of slots for (5|10)s at 0.75|no impact, capacity 15s, [01] % noise"
    "|generator stalls 0.45s|generator drops 0.06s|constant arrivals, refused 1s)$"
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("ground_truth") / "told.json"
    command = [sys.executable, "-m", "benchmarks.ground_truth", "--each", "6", "--rates", "5,16,50"]
    child = subprocess.run(
        [*command, "--worlds", SOME, "--json", path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def of_all(told: dict[str, Any], what: str) -> int:
    return sum(world["counts"].get(what, 0) for world in told["worlds"])


def test_stated_intervals_of_the_recovery_hold_the_truth(told: dict[str, Any]) -> None:
    assert of_all(told, "recovery intervals") > 300
    assert of_all(told, "recovery covered") >= 0.93 * of_all(told, "recovery intervals")


@pytest.mark.parametrize("about", ["recovery", "goodput", "errors"])
def test_few_false_claims_pass_and_few_true_ones_deviate(told: dict[str, Any], about: str) -> None:
    for wrong in (f"{about} false pass", f"{about} false fail"):
        assert of_all(told, f"{wrong} of") > 100
        assert of_all(told, wrong) <= 0.05 * of_all(told, f"{wrong} of")


def test_no_worse_world_gets_a_better_number(told: dict[str, Any]) -> None:
    pairs = told["better_for_worse"]
    assert sum(of for _, of in pairs.values()) > 60
    assert {name: counts for name, counts in pairs.items() if counts[0]} == {}


def test_an_end_that_the_next_outage_cuts_short_is_no_better_number_of_a_worse_world() -> None:
    better, worse = (score(WORLDS[name], 16.0, 9) for name in ("93% slow for ever", "90% slow for ever"))
    assert better.value_s == math.inf
    assert worse.value_s in (None, math.inf)
    assert worse.truth.low_s == math.inf
    assert worse.interval_s is None or worse.interval_s[1] == math.inf


def test_every_request_that_a_fault_cost_is_counted(told: dict[str, Any]) -> None:
    right, of = (of_all(told, what) for what in ("lost right", "lost told"))
    assert of > 200
    assert right == of
