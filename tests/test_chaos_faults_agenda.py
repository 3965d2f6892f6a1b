"""What is due when, of a timetable in which some steps wait for conditions."""

from hypothesis import given
from hypothesis import strategies as st

from chaos.faults.agenda import Agenda
from chaos.faults.timetable import Entry, Step, timetable

WAITS = Entry("slow", 2.0, lasts=True, duration_s=3.0, within_s=10.0)
FIXED = Entry("kill", 4.0, lasts=False)


def steps(*entries: Entry) -> tuple[Step, ...]:
    return timetable(entries, seed=1, baseline_ends_s=100.0).steps


def test_a_step_that_waits_is_open_from_its_instant_until_it_is_given_up() -> None:
    agenda = Agenda(steps(WAITS))
    assert agenda.next_s == 112.0
    assert not agenda.open(101.9)
    (step,) = agenda.open(102.0)
    assert (step.action, step.occurrence) == ("inject", "slow#1")
    assert not agenda.give_up(111.9)
    assert agenda.give_up(112.0) == [step]
    assert agenda.next_s is None, "what never began has no end either"


def test_what_begins_when_its_condition_holds_ends_so_long_after_that() -> None:
    agenda = Agenda(steps(WAITS, FIXED))
    assert agenda.next_s == 104.0
    (step,) = agenda.open(103.0)
    agenda.begin(step, 103.0)
    kill = agenda.due(104.0)
    assert kill is not None
    assert kill.occurrence == "kill#1"
    assert agenda.next_s == 106.0
    assert agenda.due(105.9) is None
    end = agenda.due(106.0)
    assert end is not None
    assert (end.action, end.occurrence) == ("recover", "slow#1")
    assert agenda.next_s is None


def test_an_end_that_the_experiment_names_is_never_later_than_it_says() -> None:
    entry = Entry("slow", 0.0, lasts=True, duration_s=30.0, until_s=8.0, within_s=5.0)
    agenda = Agenda(steps(entry))
    agenda.begin(agenda.open(104.0)[0], 104.0)
    assert agenda.next_s == 108.0


def test_without_conditions_an_agenda_is_the_timetable() -> None:
    plan = steps(FIXED, Entry("delay", 1.0, lasts=True, duration_s=2.0))
    agenda = Agenda(plan)
    assert [agenda.due(1000.0) for _ in plan] == [*plan]


@given(
    st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 10), st.none() | st.floats(0.5, 9)), max_size=6),
    st.lists(st.floats(0, 3), min_size=40, max_size=40),
    st.integers(0, 3),
)
def test_every_injection_that_begins_is_undone_after_it_and_nothing_else_is(
    faults: list[tuple[float, float, float | None]], waits_s: list[float], holds_every: int
) -> None:
    entries = [
        Entry(f"f{n}", at_s, lasts=True, duration_s=lasts_s, within_s=within_s)
        for n, (at_s, lasts_s, within_s) in enumerate(faults)
    ]
    agenda, now_s, done, given_up = Agenda(steps(*entries)), 100.0, [], set()
    for look, wait_s in enumerate([*waits_s, 100.0]):
        now_s += wait_s
        if holds_every and look % holds_every == 0:
            for step in agenda.open(now_s):
                agenda.begin(step, now_s)
                done.append((step.action, step.occurrence))
        while (due := agenda.due(now_s)) is not None:
            assert due.at_s <= now_s
            done.append((due.action, due.occurrence))
        given_up |= {step.occurrence for step in agenda.give_up(now_s)}
    assert agenda.next_s is None
    injected = [which for action, which in done if action == "inject"]
    undone = [which for action, which in done if action == "recover"]
    assert sorted(injected) == sorted(undone)
    assert {*injected} | given_up == {f"f{n}#1" for n in range(len(entries))}
    assert not {*injected} & given_up
    assert all(done.index(("inject", which)) < done.index(("recover", which)) for which in injected)


def test_a_plan_without_conditions_has_the_sum_that_earlier_versions_gave_it() -> None:
    found = timetable([FIXED], seed=1, baseline_ends_s=100.0).sha256
    assert found == "87a4d59856466490d90a7af8d15514582e35e01356d235504307eed500029867"
