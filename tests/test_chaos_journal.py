import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaos.assertions.grammar import parse
from chaos.errors import InputError
from chaos.events import Event
from chaos.judging import journaling
from chaos.judging.evaluation import evaluate
from chaos.judging.verdict import DRIFT_SHARE, NOT_OFFERED_SHARE, judge
from chaos.measuring.columns import columns
from chaos.measuring.evidence import LATE_SHARE
from chaos.measuring.measurements import measure
from chaos.measuring.objectives import Objectives
from chaos.measuring.processor import FULL_AT, FULL_SHARE
from chaos.measuring.quantiles import needed_for_interval
from chaos.measuring.recovery_time import Criteria
from chaos.measuring.timeline import FaultWindow, Timeline
from chaos.record import journal
from chaos.record.journal import Journal
from chaos.record.load import Generator
from chaos.record.sections import Slo
from loadtests.rows import Row

ROOT = Path(__file__).parent.parent
SLO = Objectives(0.5, 1.0)
RUN = journaling.RunFacts(
    experiment="pod-kill-30",
    hypothesis="goodput is back within 15 s",
    target="local",
    seed=42,
    started_at="2026-01-01T00:00:00Z",
    versions={"aftershock": "0.1.0"},
    generator=Generator(lag={"hub_p99_s": 0.001}),
    planned=600,
    sent=600,
    outcomes={"http_503": 20, "ok": 580},
)
FAULT = FaultWindow(
    "kill", "pod-kill", "exact", 40.0, None, ("r0",), 2, verified=True, evidence=("pid gone",), id="kill#1"
)
EVENTS = (
    Event(-1.0, "replica_ready", "r0"),
    Event(-1.0, "replica_ready", "r1"),
    Event(40.0, "replica_killed", "r0"),
    Event(40.2, "replica_created", "r2"),
    Event(44.0, "replica_ready", "r2"),
)


def row(index: int, outcome: str) -> Row:
    at_s = index / 10
    tokens_s = (at_s + 0.1, at_s + 0.15) if outcome == "ok" else ()
    return Row(
        index,
        at_s,
        outcome,
        dispatched_s=at_s + 0.001,
        token_s=tokens_s,
        ended_s=at_s + (0.15 if tokens_s else 0.01),
        replica="r2" if at_s > 44 else "r1",
    )


def timeline(broken_s: float) -> Timeline:
    """Arrivals fail from 40 s on for so long."""
    rows = (row(index, "http_503" if 400 <= index < 400 + 10 * broken_s else "ok") for index in range(600))
    return Timeline(columns(rows), EVENTS, 600, 5.0, 60.0, wanted_replicas=2, faults=(FAULT,))


EMPTY = Timeline(columns(()), (), 0, 5.0, 0.0, wanted_replicas=2)


def made(run: Timeline) -> Journal:
    measurements = measure(run, SLO, Criteria(within_s=14.0))
    texts = ("recovery.service <= 12s", "p95(ttft, baseline) <= 250ms", "p99(ttft, fault) <= 250ms")
    results = [evaluate(parse(text), measurements) for text in texts]
    return journaling.build(RUN, measurements, judge(measurements, results))


def built(run: Timeline) -> dict[str, Any]:
    """As it is read by whoever knows JSON alone."""
    found: dict[str, Any] = json.loads(made(run).text)
    return found


def test_journal_has_every_key_that_readers_rely_on() -> None:
    found = built(timeline(2.0))
    assert found["schema"] == journal.SCHEMA
    assert (found["experiment"], found["target"], found["seed"]) == ("pod-kill-30", "local", 42)
    assert (found["verdict"], found["exit_code"], found["reasons"]) == ("deviated", 1, [])
    unbounded = {
        "itl_s": None,
        "itl_s_reason": "gaps have no bound",
        "tpot_s": None,
        "tpot_s_reason": "the mean time per token has no bound",
    }
    assert found["slo"] == {"ttft_s": 0.5, "e2e_s": 1.0, **unbounded}
    assert found["load"]["outcomes"] == {"http_503": 20, "ok": 580}
    assert found["load"]["offered_rate"] == 10.0
    assert found["load"]["lag_p99_s"] == 0.001
    assert found["faults"][0]["targets"] == ["r0"]
    assert [phase["name"] for phase in found["phases"]] == ["baseline", "fault", "fault:kill#1", "recovery"]
    baseline = found["phases"][0]
    assert {key: baseline[key] for key in ("start_s", "end_s", "n", "goodput", "error_ratio")} == {
        "start_s": 5.0,
        "end_s": 39.9,
        "n": 349,
        "goodput": 1.0,
        "error_ratio": 0.0,
    }
    assert (baseline["ttft_p50_s"], baseline["ttft_p99_s"], baseline["e2e_p99_s"]) == (0.1, 0.1, 0.15)
    recovery = found["recovery"]
    assert (recovery["service_s"], recovery["service_status"]) == (2.0, "recovered")
    assert (recovery["capacity_s"], recovery["capacity_status"]) == (4.25, "recovered")
    assert (recovery["window_s"], recovery["hold_s"], recovery["resolution_s"]) == (2.0, 5.0, 0.1)
    assert (recovery["first_touch_s"], recovery["lost_requests"]) == (2.0, 20)
    assert [entry["verdict"] for entry in found["assertions"]] == ["passed", "passed", "deviated"]
    assert found["assertions"][0]["interval"] == [1.9, 11.5]
    assert found["assertions"][2]["interval"] == ["inf", "inf"]


def nulls(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if item is None:
                yield f"{path}.{key}", value.get(f"{key}_reason")
            yield from nulls(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from nulls(item, f"{path}[{index}]")


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(timeline(2.0), id="recovered"),
        pytest.param(timeline(99.0), id="not recovered"),
        pytest.param(timeline(13.0), id="hold cut short or late"),
        pytest.param(replace(timeline(2.0), events=()), id="nobody knows what was ready"),
        pytest.param(replace(timeline(2.0), faults=()), id="nothing injected"),
        pytest.param(EMPTY, id="nothing at all"),
    ],
)
def test_beside_every_null_stands_its_reason(run: Timeline) -> None:
    found = list(nulls(built(run)))
    assert found
    for path, reason in found:
        assert isinstance(reason, str), path
        assert reason, path


def test_infinity_is_the_string_inf_in_the_file_and_a_number_again_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    made(timeline(99.0)).write(path)
    text = json.loads(path.read_text())
    assert text["recovery"]["service_s"] == text["phases"][1]["ttft_p99_s"] == "inf"
    found = journal.read(path)
    assert found.recovery.service_s == found.phases[1].ttft_p99_s == math.inf
    assert (found.recovery.service_s_reason or "").startswith("not within the 14 s")
    assert list(tmp_path.iterdir()) == [path]


def test_a_journal_reads_back_as_it_was_built(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    found = made(timeline(2.0))
    found.write(path)
    assert journal.read(path) == found


def test_not_a_number_never_reaches_a_journal() -> None:
    with pytest.raises(ValueError, match="not a number never reaches a file"):
        Slo(ttft_s=math.nan, e2e_s=1.0, itl_s=0.1)


def test_a_null_without_its_reason_is_no_part_of_a_journal() -> None:
    with pytest.raises(ValueError, match="itl_s is null, and nothing says why"):
        Slo(ttft_s=0.5, e2e_s=1.0, itl_s=None)
    assert (
        Slo.of({"ttft_s": 0.5, "e2e_s": 1.0, "itl_s": None}, {"itl_s": "no bound"}).itl_s_reason == "no bound"
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(None, "No such file", id="none"),
        pytest.param("{", "not JSON", id="cut off"),
        pytest.param("[]", "schema: expected 2, not None", id="not an object"),
        pytest.param(json.dumps({"schema": 1}), "schema: expected 2, not 1", id="of an earlier version"),
        pytest.param(json.dumps({"schema": 2}), "experiment: Field required", id="half of one"),
    ],
)
def test_what_is_no_journal_is_refused_by_path(tmp_path: Path, text: str | None, complaint: str) -> None:
    path = tmp_path / "journal.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=f"journal.json: {complaint}"):
        journal.read(path)


# --- docs/measurement.md says what the code does.

DOC = (ROOT / "docs" / "measurement.md").read_text()


def test_sample_sizes_of_the_docs_are_those_of_the_code() -> None:
    table = re.findall(r"^\| p([0-9.]+) \| ([0-9,]+) \|$", DOC, re.MULTILINE)
    assert len(table) == 5
    for percent, interval in table:
        assert needed_for_interval(float(percent)) == int(interval.replace(",", ""))


def test_defaults_and_limits_of_the_docs_are_those_of_the_code() -> None:
    criteria = Criteria()
    for sentence in (
        f"`goodput` {criteria.goodput:.0%}",
        f"`error_ratio` {criteria.error_ratio:.0%}",
        f"`window` {criteria.window_s:g} s",
        f"`hold` {criteria.hold_s:g} s",
        f"`within` {criteria.within_s:g} s",
        f"above {LATE_SHARE:.0%} of the TTFT bound",
        f"more than {NOT_OFFERED_SHARE:.1%} of the arrivals",
        f"by more than {DRIFT_SHARE:.0%} of the TTFT bound",
        f"at least {FULL_AT:.0%} of the cores",
        f"from {FULL_SHARE:.0%} of its time on",
    ):
        assert sentence in DOC, sentence
