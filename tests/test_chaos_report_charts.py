"""What a chart may draw: no quantile of too few samples, no limit without its unit, no more lines than can be told."""

import math
from pathlib import Path

import numpy as np
import pytest

from chaos.measuring import pace
from chaos.measuring.objectives import Objectives
from chaos.measuring.processor import Sample
from chaos.measuring.slis import Bin
from chaos.measuring.spread import spread
from chaos.record.observed import KeptSeries
from chaos.report import kept, latency, machine, recorded
from chaos.run_folder import RunFolder

SAMPLE = RunFolder(Path(__file__).parent / "data" / "run-sample")
SLO = Objectives(0.5, 2.5, None)


def second(at: int, arrivals: int) -> Bin:
    samples = spread(np.linspace(0.01, 0.4, arrivals)) if arrivals else None
    return Bin(at, arrivals, arrivals, 0, arrivals, 0, 3, samples)


@pytest.mark.parametrize(
    ("arrivals", "lines", "said"),
    [
        (4, ["p50", "slowest"], "4 a second as a rule, too few for P95 and P99"),
        (25, ["p50", "p95", "slowest"], "25 a second as a rule, too few for P99"),
        (100, ["p50", "p95", "p99"], "100 a second as a rule; logarithmic"),
    ],
)
def test_a_quantile_of_a_second_is_drawn_where_it_is_not_simply_the_slowest(
    arrivals: int, lines: list[str], said: str
) -> None:
    chart = latency.first_token([second(at, arrivals) for at in range(5)], SLO)
    assert [line["label"] for line in chart["series"]] == lines
    assert said in chart["note"]


def test_empty_seconds_do_not_make_the_others_look_few() -> None:
    bins = [second(at, 0) for at in range(9)] + [second(9, 200)]
    assert [line["label"] for line in latency.first_token(bins, SLO)["series"]] == ["p50", "p95", "p99"]


def test_tokens_and_gaps_are_those_of_the_rows_each_counted_once() -> None:
    run = recorded.read(SAMPLE)
    rows, length = run.timeline.rows, len(run.bins)
    assert pace.tokens_arrived(rows, length).sum() == len(rows.token_s)
    gaps = [each.n for each in pace.gaps(rows, length) if each is not None]
    assert sum(gaps) == len(rows.token_s) - int(np.sum(rows.tokens > 0))
    worst = max(each.most for each in pace.time_per_token(rows, length) if each is not None)
    assert worst == math.inf, "requests were lost"
    ids = [chart["id"] for chart in latency.between_tokens(run.timeline, run.bins, run.objectives)]
    assert ids == ["tpot", "itl", "tokens"]


def series(
    label: str, peak: float, *, unit: str = "s", limit: float | None = 2.5, query: str = ""
) -> KeptSeries:
    points = ((1.0, 0.0), (2.0, peak))
    return KeptSeries(
        panel="Panel", note="Said.", unit=unit, limit=limit, label=label, points=points, query=query
    )


@pytest.mark.parametrize(
    ("unit", "limit", "said"),
    [
        ("s", 2.5, "limit 2.5 s"),
        ("s", 0.5, "limit 500 ms"),
        ("percentunit", 0.01, "limit 1 %"),
        ("bytes", 2.0 * 1024**3, "limit 2 GiB"),
        ("watt", 700.0, "limit 700 W"),
        ("suffix:tok/s", 20.0, "limit 20 tok/s"),
        ("reqps", 3.0, "limit 3 /s"),
        ("short", 1.0, "limit 1"),
    ],
)
def test_a_limit_has_the_unit_of_its_panel(unit: str, limit: float, said: str) -> None:
    [chart] = kept.of_series({"a": series("a", 1.0, unit=unit, limit=limit)}, 10, None)
    assert chart["bound"]["label"] == said


def test_no_more_than_eight_lines_are_drawn_and_it_is_said_which() -> None:
    found = {f"{n}": series(f"pod-{n}", float(n)) for n in range(13)}
    [chart] = kept.of_series(found, 10, None)
    assert [line["label"] for line in chart["series"]] == [f"pod-{n}" for n in range(5, 13)]
    assert len({line["colour"] for line in chart["series"]}) == 8
    assert "Of 13 series the 8 that reached highest." in chart["note"]


@pytest.mark.parametrize(("rate", "marked"), [(18.0, True), (20.0, False), (None, False)])
def test_a_p99_of_the_few_requests_of_one_window_is_marked(rate: float | None, marked: bool) -> None:
    p99 = series("P99", 1.0, query="histogram_quantile(0.99, rate(x[5s]))")
    p50 = series("P50", 1.0, query="histogram_quantile(0.5, rate(x[5s]))")
    [chart] = kept.of_series({"a": p99, "b": p50}, 10, rate)
    assert [line["label"] for line in chart["series"]] == ["P99 *" if marked else "P99", "P50"]
    assert ("of about 90 requests each, too few for it" in chart["note"]) == marked
    before = p99.model_copy(update={"panel": "P99 before and behind", "label": "before"})
    [titled] = kept.of_series({"a": before}, 10, rate)
    assert titled["series"][0]["label"] == ("before *" if marked else "before")


def test_the_machines_cores_are_a_line_above_what_was_busy_and_what_was_ours() -> None:
    samples = [
        Sample(float(at), 4, 2.0, 1.5 * at, 0.0, {"replicas": 0.75 * at, "load": 0.25 * at})
        for at in range(-1, 6)
    ]
    [chart] = machine.of_samples(samples, 8)
    busy, ours = chart["series"]
    assert (busy["values"][0], ours["values"][0]) == (1.5, 1.0)
    assert (chart["x"][0], chart["x"][-1], chart["bound"]) == (0.0, 8, {"label": "2 cores", "value": 2.0})
    assert busy["values"][-1] is None, "nothing was sampled then"
    assert machine.of_samples(samples[:1], 8) == []
