"""What a display is told while a run goes on: what it covers, and that it costs the same after many rows."""

import math
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.display.live import NEWEST, Latest
from chaos.measuring.quantiles import quantile
from loadtests.rows import Row


def answered(index: int, ended_s: float, ttft_s: float | None) -> Row:
    """A request that ended then; without a first token it failed."""
    if ttft_s is None:
        return Row(index, ended_s - 1, "http_503", ended_s=ended_s)
    return Row(index, ended_s - 1, "ok", token_s=(ended_s - 1 + ttft_s,), ended_s=ended_s)


ttfts = st.one_of(st.none(), st.integers(1, 900).map(lambda milliseconds: milliseconds / 1000))


@given(st.lists(st.lists(ttfts, max_size=30), min_size=1, max_size=20))
def test_facts_are_those_of_all_rows_while_there_are_few(looks: list[list[float | None]]) -> None:
    latest, rows = Latest(over_s=2.0), list[Row]()
    for number, look in enumerate(looks):
        fresh = [answered(len(rows) + i, float(number), ttft_s) for i, ttft_s in enumerate(look)]
        rows += fresh
        facts = latest.facts(fresh, float(number))
    every = sorted(math.inf if row.ttft_s is None else row.ttft_s for row in rows)
    assert facts["ttft_p99_s"] == (pytest.approx(quantile(every, 99)) if every else None)
    assert facts["errors"] == sum(not row.ok for row in rows)
    last_s = len(looks) - 1.0
    lately = sum(row.ended_s is not None and row.ended_s >= last_s - 2.0 for row in rows)
    assert facts["rate"] == pytest.approx(lately / min(2.0, max(last_s, 1.0)))


def test_an_outage_leaves_the_shown_p99_once_enough_requests_have_ended_after_it() -> None:
    latest = Latest(over_s=5.0)
    outage = [answered(index, 1.0, None) for index in range(100)]
    assert latest.facts(outage, 1.0)["ttft_p99_s"] == math.inf
    healthy = [answered(100 + index, 2.0, 0.1) for index in range(NEWEST - 11)]
    assert latest.facts(healthy, 2.0)["ttft_p99_s"] == math.inf, "eleven failures of a thousand reach it"
    facts = latest.facts([answered(2000, 3.0, 0.1)], 3.0)
    assert facts["ttft_p99_s"] == pytest.approx(0.1)
    assert facts["errors"] == 100


def looks_took_s(rows: Sequence[Row], looks: int = 200) -> float:
    """Processor time of so many looks after these rows, with 20 more at each."""
    latest = Latest(over_s=5.0)
    latest.facts(rows, 0.0)
    began_s = time.thread_time()
    for number in range(1, looks + 1):
        latest.facts([answered(number, number / 5, 0.1)] * 20, number / 5)
    return time.thread_time() - began_s


def test_a_look_after_a_hundred_thousand_rows_costs_what_it_costs_after_a_thousand() -> None:
    many = [answered(index, 0.0, index % 997 / 1000) for index in range(100_000)]
    few_s, many_s = (min(looks_took_s(rows) for _ in range(3)) for rows in (many[:NEWEST], many))
    assert many_s < 3 * few_s, f"{few_s:.3f} s after a thousand, {many_s:.3f} s after a hundred thousand"
