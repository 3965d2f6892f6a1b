"""The timetable: pure, in order, an id for every occurrence, an end for whatever lasts."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.faults.timetable import Entry, timetable

SECONDS = st.floats(0.001, 100, allow_nan=False)
ENTRIES = st.lists(
    st.one_of(
        st.builds(Entry, st.sampled_from("abc"), SECONDS, st.just(value=False), st.none() | SECONDS),
        st.builds(Entry, st.sampled_from("abc"), SECONDS, st.just(value=True), SECONDS),
    ),
    min_size=1,
    max_size=8,
)


@given(ENTRIES, st.integers(0, 9), SECONDS)
def test_every_fault_is_injected_once_and_what_lasts_is_undone_once_and_later(
    entries: list[Entry], seed: int, baseline_ends_s: float
) -> None:
    steps = timetable(entries, seed, baseline_ends_s).steps
    assert [step.at_s for step in steps] == sorted(step.at_s for step in steps)
    for index, entry in enumerate(entries):
        mine = [step for step in steps if step.fault == index]
        assert [step.action for step in mine] == ["inject", "recover"][: 1 + entry.lasts]
        assert len({step.occurrence for step in mine}) == 1
        assert mine[0].at_s == baseline_ends_s + entry.at_s
        if entry.lasts:
            assert mine[1].at_s == pytest.approx(mine[0].at_s + (entry.duration_s or 0))
    ids = [step.occurrence for step in steps if step.action == "inject"]
    assert len(set(ids)) == len(ids) == len(entries)


@given(ENTRIES)
def test_the_same_faults_and_seed_give_the_same_timetable_and_other_times_another(
    entries: list[Entry],
) -> None:
    first, again = timetable(entries, 1, 10.0), timetable(entries, 1, 10.0)
    assert (first, first.sha256) == (again, again.sha256)
    assert timetable(entries, 1, 11.0).sha256 != first.sha256


def test_a_second_fault_of_one_name_is_its_second_occurrence() -> None:
    steps = timetable([Entry("delay", 0.0, True, 5.0), Entry("delay", 20.0, True, 5.0)], 1, 30.0).steps
    assert [(step.at_s, step.action, step.occurrence) for step in steps] == [
        (30.0, "inject", "delay#1"),
        (35.0, "recover", "delay#1"),
        (50.0, "inject", "delay#2"),
        (55.0, "recover", "delay#2"),
    ]


@pytest.mark.parametrize(
    ("duration_s", "until_s", "ends_s"),
    [(5.0, None, 7.0), (5.0, 4.0, 4.0), (5.0, 30.0, 7.0), (None, 9.0, 9.0), (None, None, None)],
)
def test_a_fault_ends_after_its_duration_or_at_its_time_whichever_is_first(
    duration_s: float | None, until_s: float | None, ends_s: float | None
) -> None:
    assert Entry("delay", 2.0, True, duration_s, until_s).ends_s == ends_s


def test_what_ends_at_an_instant_comes_before_what_begins_then() -> None:
    entries = [Entry("late", 5.0, True, 5.0), Entry("early", 0.0, True, 5.0)]
    at_15 = [step.occurrence for step in timetable(entries, 1, 10.0).steps if step.at_s == 15.0]
    assert at_15 == ["early#1", "late#1"]


def test_the_file_of_a_timetable_tells_its_steps_and_their_sum(tmp_path: Path) -> None:
    plan = timetable([Entry("kill", 0.0, False)], 7, 12.0)
    plan.write(tmp_path / "timetable.json")
    assert json.loads((tmp_path / "timetable.json").read_text()) == {
        "seed": 7,
        "sha256": plan.sha256,
        "steps": [{"at_s": 12.0, "action": "inject", "fault": 0, "occurrence": "kill#1", "draw": 0}],
    }
