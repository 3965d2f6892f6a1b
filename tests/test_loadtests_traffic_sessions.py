"""Partly-open sessions: in the plan, in prompts, and as they are played."""

import time
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from loadtests.open_loop import OpenLoop
from loadtests.plan import Arrival, Plan
from loadtests.prompts import prompt_of
from loadtests.recorder import Recorder
from loadtests.rows import Row
from loadtests.spec import LoadSpec
from loadtests.traffic.figures import dispersion
from loadtests.traffic.lengths import Lengths
from loadtests.traffic.sessions import Sessions
from loadtests.turns import Turns, starts_s

CHATTY = Sessions(turns=4, think_s=3.0, system_prompt_tokens=20, system_prompts=3)
specs = st.builds(
    LoadSpec,
    url=st.just(""),
    arrivals=st.sampled_from(["poisson", "constant"]),
    rate_per_s=st.floats(0.5, 40),
    duration_s=st.floats(1, 20),
    seed=st.integers(-(2**32), 2**32),
    prompt_tokens=st.sampled_from([7, Lengths(median=30.0, sigma=1.0)]),
    output_tokens=st.integers(1, 30),
    sessions=st.builds(
        Sessions,
        turns=st.sampled_from([1, 3, Lengths(median=3.0, sigma=0.6, at_most=12)]),
        think_s=st.floats(0.01, 8),
        think_times=st.sampled_from(["exponential", "fixed"]),
        lengths=st.sampled_from(["message", "prompt"]),
        system_prompt_tokens=st.integers(0, 50),
        system_prompts=st.integers(1, 4),
    ),
)


def spec(**values: Any) -> LoadSpec:
    return LoadSpec(
        **{"url": "", "rate_per_s": 20.0, "duration_s": 60.0, "seed": 7, "sessions": CHATTY, **values}
    )


def by_session(plan: Plan) -> dict[int, list[Arrival]]:
    found: dict[int, list[Arrival]] = defaultdict(list)
    for arrival in plan.arrivals:
        assert arrival.session is not None
        found[arrival.session].append(arrival)
    return found


@settings(deadline=None, max_examples=60)
@given(specs)
def test_a_plan_of_sessions_names_each_turn_and_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory, load: LoadSpec
) -> None:
    path = tmp_path_factory.mktemp("plan") / "plan.jsonl"
    plan = Plan.of(load)
    plan.write(path)
    assert Plan.read(path) == plan
    for turns in by_session(plan).values():
        assert turns[0].think_s is None
        for before, turn in pairwise(turns):
            assert turn.turn == (before.turn or 0) + 1
            assert turn.think_s is not None
            assert turn.at_s == pytest.approx(before.at_s + turn.think_s, abs=1e-6), "if answers took no time"
            assert turn.prompt_tokens > before.prompt_tokens + before.output_tokens, (
                "it holds all that was said"
            )


@settings(deadline=None, max_examples=60)
@given(specs)
def test_a_turns_prompt_begins_with_the_whole_prompt_of_the_turn_before(load: LoadSpec) -> None:
    for turns in list(by_session(Plan.of(load)).values())[:5]:
        texts = [prompt_of(turn) for turn in turns[:4]]
        assert [len(text) for text in texts] == [turn.prompt_tokens for turn in turns[:4]]
        assert all(later.startswith(text) for text, later in pairwise(texts))


def test_sessions_share_their_system_prompt_and_nothing_else() -> None:
    arrivals = Plan.of(spec()).arrivals
    texts = {(each.prefix, each.session): prompt_of(each) for each in arrivals if each.turn == 0}
    starts = {prefix: {text[:20] for (of, _), text in texts.items() if of == prefix} for prefix in range(3)}
    assert [len(start) for start in starts.values()] == [1, 1, 1]
    assert len(set.union(*starts.values())) == 3
    assert len({text[20:60] for text in texts.values()}) == len(texts)


def test_the_rate_is_the_declared_one_from_the_first_second_to_the_last() -> None:
    sessions = Sessions(turns=8, think_s=5.0)
    counts = sum(
        np.histogram(Plan.of(spec(seed=seed, sessions=sessions)).offsets_s, np.linspace(0, 60, 7))[0]
        for seed in range(30)
    )
    # 6,000 requests expected in each ten seconds, in clusters of up to eight: variance by mean below eight.
    assert np.all(np.abs(counts - 6000) < 5 * np.sqrt(8 * 6000)), counts


def test_sessions_that_come_evenly_make_requests_that_come_evenly() -> None:
    def of(**values: Any) -> float:
        load = spec(duration_s=600.0, sessions=Sessions(turns=6, think_s=1.0, think_times="fixed"), **values)
        return dispersion(np.array(Plan.of(load).offsets_s), 20.0, 600.0)

    assert of(arrivals="constant") < 0.2
    assert of() > 2.5


def test_the_first_turn_in_a_plan_may_be_a_later_one_of_its_session() -> None:
    opening = [turns[0] for turns in by_session(Plan.of(spec())).values()]
    assert {turn.turn for turn in opening} == {0, 1, 2, 3}
    later = [turn for turn in opening if turn.turn == 3]
    assert min(turn.prompt_tokens for turn in later) > 3 * (64 + 32), "with the context that it would have"


def test_prompts_of_a_session_are_its_draws_in_ascending_order() -> None:
    table = Lengths(quantiles={"p0": 100, "p50": 2000, "p100": 50_000})
    load = spec(
        prompt_tokens=table, sessions=Sessions(turns=5, think_s=1.0, lengths="prompt"), duration_s=600.0
    )
    tokens = np.array([each.prompt_tokens for each in Plan.of(load).arrivals])
    assert np.quantile(tokens, 0.5) == pytest.approx(2000, rel=0.15)
    assert tokens.max() < 52_000


@settings(deadline=None, max_examples=40)
@given(specs, st.integers(1, 5))
def test_a_session_is_played_by_one_worker_of_several(load: LoadSpec, workers: int) -> None:
    plan = Plan.of(load)
    slices = [plan.slice(worker, workers) for worker in range(workers)]
    together = sorted((each for part in slices for each in part), key=lambda each: each.index)
    assert together == list(plan.arrivals)
    owners = [{each.session for each in part} for part in slices]
    assert sum(len(owned) for owned in owners) == len({each.session for each in plan.arrivals})


TURN = '{"index":%d,"at_s":%s,"prompt_tokens":1,"output_tokens":1,"seed":1,"session":%d,"turn":%d%s}\n'


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([(0, 0.0, 0, 1, ',"think_s":1.0')], "arrival 0 waits for a turn before it, or should"),
        ([(0, 0.0, 0, 0, ""), (1, 1.0, 0, 1, "")], "arrival 1 waits for a turn before it, or should"),
        ([(0, 0.0, 0, 0, ""), (1, 1.0, 1, 1, ',"think_s":1.0')], "arrival 1 waits for a turn before it"),
        ([(0, 0.0, 0, 0, ""), (1, 1.0, 0, 2, ',"think_s":1.0')], "arrival 1 is turn 2 after 0 of session 0"),
        ([(0, 0.0, 0, 0, ',"think_s":"1"')], "line 1 is no arrival: think_s is '1'"),
        ([(0, 0.0, 0, 0, ',"blocks":[1,"x"]')], "line 1 is no arrival: blocks are"),
    ],
)
def test_a_plan_whose_turns_do_not_follow_one_another_is_refused(
    tmp_path: Path, lines: list[tuple[Any, ...]], complaint: str
) -> None:
    path = tmp_path / "plan.jsonl"
    path.write_text("".join(TURN % line for line in lines))
    with pytest.raises(ValueError, match=complaint):
        Plan.read(path)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"turns": 2}, "think_s"),
        ({"turns": 0, "think_s": 1.0}, "greater than or equal to 1"),
        ({"turns": 2, "think_s": 0.0}, "greater than 0"),
        ({"turns": 2, "think_s": 1.0, "lengths": "context"}, "'message' or 'prompt'"),
    ],
)
def test_sessions_that_make_no_sense_are_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Sessions.model_validate(values)


def turn(index: int, at_s: float, session: int, number: int, think_s: float | None = None) -> Arrival:
    return Arrival(index, at_s, 8, 4, 1, session=session, turn=number, think_s=think_s)


PLAYED = (turn(0, 0.0, 0, 0), turn(1, 0.1, 0, 1, 0.1), turn(2, 0.1, 1, 0), turn(3, 0.2, 0, 2, 0.1))


def play(outcomes: dict[int, str], *, service_s: float, duration_s: float, drain_s: float = 2.0) -> list[Row]:
    start_s = time.monotonic() + 0.05

    def send(arrival: Arrival) -> Row:
        dispatched_s = time.monotonic() - start_s
        try:
            gevent.sleep(service_s)
        except gevent.GreenletExit:
            outcomes[arrival.index] = "censored"
        ended_s = time.monotonic() - start_s
        return Row(
            arrival.index, arrival.at_s, outcomes.get(arrival.index, "ok"), dispatched_s, ended_s=ended_s
        )

    rows: list[Row] = []
    with Recorder(PLAYED, None, rows.append) as recorder:
        OpenLoop(PLAYED, start_s, send, recorder, 10).run(duration_s, drain_s)
    return sorted(rows, key=lambda row: row.index)


@pytest.mark.parametrize("first", ["ok", "http_503", "ttft_timeout"])
def test_a_turn_leaves_its_think_time_after_the_end_of_the_one_before_however_that_ended(first: str) -> None:
    rows = play({0: first}, service_s=0.3, duration_s=5.0)

    assert [row.outcome for row in rows] == [first, "ok", "ok", "ok"]
    assert rows[0].ended_s is not None
    assert rows[1].ended_s is not None
    assert rows[1].intended_s == pytest.approx(rows[0].ended_s + 0.1)
    assert rows[3].intended_s == pytest.approx(rows[1].ended_s + 0.1)
    assert all(row.lag_s is not None and row.lag_s >= 0 for row in rows)
    assert rows[2].intended_s == 0.1, "other sessions wait for nobody"


def test_a_turn_that_is_not_due_before_the_end_is_censored_beyond_it_and_not_sent() -> None:
    rows = play({}, service_s=0.3, duration_s=0.6)

    assert [row.outcome for row in rows] == ["ok", "ok", "ok", "censored"]
    assert rows[3].dispatched_s is None
    assert rows[3].intended_s == 0.6


def test_nothing_follows_a_turn_that_the_end_cut_off() -> None:
    rows = play({}, service_s=3.0, duration_s=0.3, drain_s=0.2)

    assert [row.outcome for row in rows] == ["censored"] * 4
    assert [row.dispatched_s is None for row in rows] == [False, True, False, True]
    assert [row.intended_s for row in rows] == [0.0, 0.3, 0.1, 0.3]


def test_a_turn_that_the_client_dropped_is_followed_as_any_other() -> None:
    turns = Turns(PLAYED, 5.0)
    assert [each.index for each in turns.planned] == [0, 2]
    assert turns.after(Row(0, 0.0, "client_dropped")) == replace(PLAYED[1], at_s=0.1)
    assert turns.after(Row(2, 0.1, "ok", ended_s=0.2)) is None


def test_nothing_follows_a_turn_that_was_cut_off_long_before_the_end() -> None:
    turns = Turns(PLAYED, 5.0)
    assert turns.after(Row(0, 0.0, "censored", 0.0, ended_s=0.1)) is None
    assert [(row.index, row.intended_s, row.outcome) for row in turns.unsent()] == [
        (1, 5.0, "censored"),
        (3, 5.0, "censored"),
    ]


def test_when_turns_were_to_leave_follows_from_the_rows_of_those_before() -> None:
    rows = play({0: "http_503"}, service_s=0.2, duration_s=5.0)
    intended_s = np.array([row.intended_s for row in rows])
    ended_s = np.array([np.nan if row.ended_s is None else row.ended_s for row in rows])
    assert starts_s(Plan(PLAYED), intended_s, ended_s) == pytest.approx(intended_s)

    dropped = starts_s(Plan(PLAYED), np.array([0.0, 0.1, 0.1, np.nan]), np.full(4, np.nan))
    assert dropped == pytest.approx([0.0, 0.1, 0.1, 0.2])
    assert np.isnan(starts_s(Plan(PLAYED), np.full(4, np.nan), np.full(4, np.nan))[[1, 3]]).all()
