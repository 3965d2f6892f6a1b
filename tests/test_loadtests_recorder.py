import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.plan import Arrival
from loadtests.recorder import Recorder, added_up, lag_quantiles, summarise, write_summary
from loadtests.rows import Row, read_rows

ARRIVALS = [Arrival(index, at_s, 64, 32, 1) for index, at_s in enumerate((0.1, 0.2, 0.3))]


def test_a_row_is_on_disk_when_it_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    with Recorder(ARRIVALS, path) as recorder:
        recorder.append(Row(1, 0.2, "ok"))
        assert [row.index for row in read_rows(path)] == [1]


def test_arrivals_without_a_row_are_censored_at_the_end(tmp_path: Path) -> None:
    seen: list[Row] = []
    with Recorder(ARRIVALS, tmp_path / "rows", seen.append) as recorder:
        recorder.append(Row(1, 0.2, "ok"))

    rows = list(read_rows(tmp_path / "rows"))
    assert seen == rows
    assert [(row.index, row.intended_s, row.outcome) for row in rows] == [
        (1, 0.2, "ok"),
        (0, 0.1, "censored"),
        (2, 0.3, "censored"),
    ]


@pytest.mark.parametrize("index", [1, 7], ids=["twice", "never planned"])
def test_a_second_or_unplanned_row_is_refused(index: int) -> None:
    with Recorder(ARRIVALS, None) as recorder:
        recorder.append(Row(1, 0.2, "ok"))
        with pytest.raises(KeyError):
            recorder.append(Row(index, 0.2, "ok"))


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**6).map(lambda micros: micros / 1e6), min_size=1))
def test_lag_quantiles_are_values_of_rank_ceil_of_q_times_n(lags_s: list[float]) -> None:
    ordered = sorted(lags_s)
    expected = {
        f"hub_{name}_s": round(ordered[math.ceil(percent * len(ordered) / 100) - 1], 6)
        for name, percent in {"p50": 50, "p99": 99, "max": 100}.items()
    }
    assert lag_quantiles("hub", lags_s) == expected


def test_lag_quantiles_of_three_hundred_are_the_150th_the_297th_and_the_last() -> None:
    lags_s = [float(rank) for rank in range(1, 301)]
    assert lag_quantiles("hub", lags_s) == {"hub_p50_s": 150.0, "hub_p99_s": 297.0, "hub_max_s": 300.0}


def test_without_samples_there_is_no_lag() -> None:
    assert set(lag_quantiles("hub", []).values()) == {None}


def test_the_summary_counts_rows_drops_and_lag() -> None:
    rows = [
        Row(0, 1.0, "ok", dispatched_s=1.002),
        Row(1, 2.0, "http_503", dispatched_s=2.25),
        Row(2, 3.0, "client_dropped"),
        Row(3, 4.0, "censored"),
    ]
    assert summarise(rows) == {
        "rows": 4,
        "dropped": 1,
        "censored": 1,
        "lag": {"dispatch_p50_s": 0.002, "dispatch_p99_s": 0.25, "dispatch_max_s": 0.25},
    }


def test_recorders_that_add_up_say_what_reading_their_rows_again_would_say(tmp_path: Path) -> None:
    reports = []
    for part in (0, 1):
        with Recorder(ARRIVALS, tmp_path / f"rows.{part}") as recorder:
            recorder.append(Row(1, 0.2, "ok", dispatched_s=0.2 + 0.013 * (part + 1)))
            recorder.append(Row(2, 0.3, "client_dropped" if part else "http_503", dispatched_s=None))
        reports.append(recorder.report())
    rows = [row for part in (0, 1) for row in read_rows(tmp_path / f"rows.{part}")]
    assert len(rows) == 6
    assert added_up(reports) == summarise(rows)
    assert added_up([]) == summarise([])


def test_a_summary_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "load.json"
    write_summary(path, {"state": "running"})
    write_summary(path, {"state": "finished"})
    assert json.loads(path.read_text()) == {"state": "finished"}
    assert list(tmp_path.iterdir()) == [path]
