"""The rotation as a state machine: explicit time, no process, no socket."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from math import comb, floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.targets.local.gateway.ejection import Change, Ejector, Ending, Kind
from chaos.targets.local.gateway.open_attempts import LOOK_EVERY_S
from chaos.targets.local.gateway.overload import is_backpressure
from chaos.targets.local.gateway.peers import CHANCE, Tally, beyond_chance, usual_share
from chaos.targets.local.gateway.retry_budget import RetryBudget
from chaos.targets.local.gateway.spec import EjectionSpec, GatewaySpec, RetrySpec

SPEC = EjectionSpec(base_s=5.0)


class Traffic:
    """Requests at random instants, round the replicas that are in rotation, and trials as a gateway makes them."""

    def __init__(self, replicas: int, spec: EjectionSpec = SPEC, seed: int = 1) -> None:
        self.ejector = Ejector(spec)
        self.names = [f"r{index}" for index in range(replicas)]
        self.now_s = 0.0
        self.changes: list[Change] = []
        self.trials = 0
        self._rng = random.Random(seed)
        self._looked_s = 0.0
        self.show()

    def show(self, unready: Sequence[str] = ()) -> None:
        self.ejector.update({name: name not in unready for name in self.names}, self.now_s)

    def flow(
        self, for_s: float, rate: float, bad: dict[str, float], usual: float = 0.0, how: Ending = Ending.ERROR
    ) -> None:
        """`bad` is the share of bad endings by replica, `usual` that of all others."""
        until_s = self.now_s + for_s
        while self.now_s < until_s:
            self.now_s += self._rng.expovariate(rate)
            while self._looked_s < self.now_s:
                self.ejector.look(self._looked_s)
                self._looked_s += LOOK_EVERY_S
            due = [name for name in self.names if self.ejector.awaits_trial(name, self.now_s)]
            inside = [name for name in self.names if self.ejector.is_in(name)]
            name = due[0] if due else self._rng.choice(inside or self.names)
            if due:
                self.trials += 1
                self.ejector.begin_trial(name)
            fails = self._rng.random() < bad.get(name, usual)
            self.ejector.ended(name, how if fails else Ending.GOOD, self.now_s, trial=bool(due))
            self.changes += self.ejector.changes()

    @property
    def ejected(self) -> list[str]:
        return [change.replica for change in self.changes if change.ejected]


@pytest.mark.parametrize("how", [Ending.ERROR, Ending.BROKEN], ids=lambda how: how.value)
def test_a_replica_that_fails_every_time_is_out_within_seconds_and_no_other(how: Ending) -> None:
    traffic = Traffic(10)
    traffic.flow(30, rate=20, bad={})
    began_s = traffic.now_s
    traffic.flow(6, rate=20, bad={"r3": 1.0}, how=how)
    assert set(traffic.ejected) == {"r3"}
    assert traffic.changes[0].at_s < began_s + 4


def test_three_of_ten_that_fail_together_do_not_excuse_each_other() -> None:
    traffic = Traffic(10)
    traffic.flow(10, rate=20, bad={})
    traffic.flow(12, rate=20, bad={"r1": 1.0, "r4": 1.0, "r9": 1.0})
    assert set(traffic.ejected) == {"r1", "r4", "r9"}


def test_a_share_of_one_in_ten_lets_one_of_two_broken_replicas_out() -> None:
    traffic = Traffic(10, replace(SPEC, most=0.1))
    traffic.flow(60, rate=20, bad={})
    traffic.flow(8, rate=20, bad={"r1": 1.0, "r4": 1.0})
    assert len(set(traffic.ejected)) == 1


def test_what_all_have_in_common_ejects_nobody() -> None:
    traffic = Traffic(10)
    traffic.flow(30, rate=20, bad={})
    traffic.flow(60, rate=20, bad={}, usual=0.9)
    assert traffic.ejected == []


def test_a_replica_that_fails_one_time_in_three_is_out_though_never_many_times_in_a_row() -> None:
    traffic = Traffic(10)
    traffic.flow(120, rate=20, bad={"r5": 0.33})
    assert set(traffic.ejected) == {"r5"}


def test_each_kind_of_evidence_has_its_own_switch() -> None:
    def out(how: Ending, **off: bool) -> bool:
        traffic = Traffic(10, replace(SPEC, **off))
        traffic.flow(30, rate=20, bad={})
        traffic.flow(10, rate=20, bad={"r3": 1.0}, how=how)
        return bool(traffic.ejected)

    assert out(Ending.ERROR, broken_streams=False)
    assert not out(Ending.ERROR, errors=False)
    assert out(Ending.BROKEN, errors=False)
    assert not out(Ending.BROKEN, broken_streams=False)


def test_slow_answers_eject_where_that_is_asked_for() -> None:
    def out(spec: EjectionSpec, kind: Kind) -> list[Change]:
        ejector = Ejector(spec)
        names = [f"r{index}" for index in range(10)]
        ejector.update(dict.fromkeys(names, True), 0.0)
        for round_ in range(40):
            for name in names:
                ejector.paced(name, kind, round_ / 10, slow=name == "r2" and round_ >= 20)
        ejector.look(4.0)
        return list(ejector.changes())

    assert [change.replica for change in out(replace(SPEC, latency=True), Kind.FIRST_TOKEN)] == ["r2"]
    assert [change.replica for change in out(replace(SPEC, latency=True), Kind.PACE)] == ["r2"]
    assert out(SPEC, Kind.PACE) == []


def test_refusals_of_a_full_replica_and_clients_that_leave_say_nothing() -> None:
    traffic = Traffic(10)
    traffic.flow(30, rate=20, bad={})
    traffic.flow(60, rate=20, bad={"r3": 1.0}, how=Ending.NOTHING)
    assert traffic.ejected == []


def test_the_time_out_doubles_up_to_its_limit_and_each_way_back_is_one_request() -> None:
    traffic = Traffic(10)
    traffic.flow(30, rate=20, bad={})
    traffic.flow(200, rate=20, bad={"r3": 1.0})
    lengths = [change.for_s for change in traffic.changes]
    assert lengths[:6] == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert traffic.trials == len(lengths) - 1
    gaps = [
        later.at_s - earlier.at_s
        for earlier, later in zip(traffic.changes, traffic.changes[1:], strict=False)
    ]
    assert all(gap >= out_s for gap, out_s in zip(gaps, lengths, strict=False))


def test_who_is_well_again_comes_back_with_its_next_trial_and_stays() -> None:
    traffic = Traffic(10)
    traffic.flow(30, rate=20, bad={})
    traffic.flow(12, rate=20, bad={"r3": 1.0})
    traffic.flow(60, rate=20, bad={})
    assert [change.ejected for change in traffic.changes] == [True, True, False]
    assert traffic.changes[-1].why == "its trial request ended well"
    assert traffic.ejector.out == []


def test_a_client_that_leaves_its_trial_leaves_the_next_request_to_be_one() -> None:
    traffic = Traffic(10)
    traffic.flow(30, rate=20, bad={})
    traffic.flow(4, rate=20, bad={"r3": 1.0})
    later_s = traffic.now_s + 6
    traffic.ejector.begin_trial("r3")
    assert not traffic.ejector.awaits_trial("r3", later_s)
    traffic.ejector.ended("r3", Ending.NOTHING, later_s, trial=True)
    assert traffic.ejector.awaits_trial("r3", later_s)


def test_a_replica_whose_probes_failed_and_pass_again_is_back_at_once() -> None:
    traffic = Traffic(10)
    traffic.flow(30, rate=20, bad={})
    traffic.flow(4, rate=20, bad={"r3": 1.0})
    traffic.show(unready=["r3"])
    assert traffic.ejector.out == ["r3"]
    traffic.show()
    assert traffic.ejector.out == []


@pytest.mark.parametrize(
    "share", [0.01, 0.2, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.0, 0.001, 0.05, 0.5))]
)
def test_independent_noise_ejects_less_than_one_healthy_replica_in_10_000_s(share: float) -> None:
    ejected = 0
    for seed in (1, 2):
        traffic = Traffic(10, seed=seed)
        traffic.flow(10_000, rate=20, bad={}, usual=share)
        ejected += len(traffic.ejected)
    assert ejected < 2


steps = st.lists(
    st.tuples(
        st.sampled_from(["end", "end", "trial", "probe", "leave"]),
        st.integers(0, 11),
        st.sampled_from([*Ending]),
        st.floats(0, 30),
    ),
    max_size=150,
)
specs = st.builds(
    EjectionSpec, most=st.floats(0, 1), consecutive=st.integers(1, 4), base_s=st.floats(0.1, 10)
)


class Fleet:
    """Replicas that were healthy for a while, so that failures stand out, and to which anything may happen now."""

    def __init__(self, spec: EjectionSpec, count: int) -> None:
        self.ready = {f"r{index}": True for index in range(count)}
        self.ejector = Ejector(spec)
        self.ejector.update(self.ready, 0.0)
        for at_s in range(300):
            for name in self.ready:
                self.ejector.ended(name, Ending.GOOD, at_s / 10)
        self.now_s = 30.0

    def end(self, name: str, ending: Ending) -> None:
        for _ in range(5):
            self.ejector.ended(name, ending, self.now_s)

    def trial(self, name: str, ending: Ending) -> None:
        if self.ejector.awaits_trial(name, self.now_s):
            self.ejector.begin_trial(name)
            self.ejector.ended(name, ending, self.now_s, trial=True)

    def probe(self, name: str, _: Ending) -> None:
        self.ready[name] = not self.ready[name]
        self.ejector.update(self.ready, self.now_s)

    def leave(self, name: str, _: Ending) -> None:
        if len(self.ready) > 1:
            del self.ready[name]
            self.ejector.update(self.ready, self.now_s)


@settings(max_examples=150)
@given(steps, specs, st.integers(1, 12))
def test_never_more_than_the_share_are_out_and_everyone_comes_back(
    done: list[tuple[str, int, Ending, float]], spec: EjectionSpec, count: int
) -> None:
    fleet = Fleet(spec, count)
    for what, index, ending, later_s in done:
        fleet.now_s += later_s / 10
        if f"r{index % count}" in fleet.ready:
            getattr(fleet, what)(f"r{index % count}", ending)
        fleet.ejector.look(fleet.now_s)
        assert len(fleet.ejector.out) <= floor(len(fleet.ready) * spec.most)
    for _ in range(2):
        fleet.now_s += spec.longest_s
        for name in fleet.ready:
            fleet.trial(name, Ending.GOOD)
    assert fleet.ejector.out == []


@given(st.integers(1, 200), st.integers(0, 200), st.floats(0.002, 0.9))
def test_what_is_called_beyond_chance_is_so_by_the_exact_binomial_tail(
    count: int, bad: int, usual: float
) -> None:
    bad = min(bad, count)
    if beyond_chance(bad, count, usual):
        tail = sum(comb(count, k) * usual**k * (1 - usual) ** (count - k) for k in range(bad, count + 1))
        assert tail <= CHANCE


def tallies(*shares: tuple[int, int]) -> Iterator[Tally]:
    for bad, count in shares:
        tally = Tally()
        for index in range(count):
            tally.add(0.0, bad=index < bad)
        yield tally


def test_the_usual_share_leaves_the_worst_aside_and_is_a_half_where_nothing_is_known() -> None:
    assert usual_share([], 0.5) == 0.5
    assert usual_share([*tallies((0, 100), (0, 100), (90, 100), (100, 100))], 0.5) == pytest.approx(0.5 / 201)
    assert usual_share([*tallies((2, 100), (9, 100), (90, 100), (100, 100))], 0.5) == pytest.approx(0.09)


def test_a_tally_forgets_what_is_old() -> None:
    tally = Tally()
    for at_s in range(300):
        tally.add(float(at_s), bad=at_s < 250)
    assert tally.count == 61
    assert (tally.bad, tally.in_a_row) == (11, 0)


@pytest.mark.parametrize(
    ("status", "headers", "body", "others", "full"),
    [
        (429, {}, b"", 3, True),
        (503, {"Retry-After": "1"}, b"", 3, True),
        (503, {}, b'{"error": {"code": "queue_full"}}', 3, True),
        (503, {}, b'{"error": {"type": "overloaded_error"}}', 1, True),
        (503, {}, b'{"error": {"code": "unavailable"}}', 3, False),
        (503, {}, b"oops", 3, False),
        (500, {"Retry-After": "1"}, b"", 3, False),
        (503, {"Retry-After": "1"}, b"", 0, False),
        (429, {}, b"", 0, False),
    ],
)
def test_what_counts_as_a_full_queue(
    status: int, headers: dict[str, str], body: bytes, others: int, full: bool
) -> None:
    assert is_backpressure(status, headers, body, others) is full


def test_a_budget_is_a_share_of_the_open_requests_and_a_few_a_second() -> None:
    budget = RetryBudget(RetrySpec(budget=0.2, min_per_second=0))
    assert [budget.grant(20, 0.0) for _ in range(6)] == [True] * 4 + [False] * 2
    budget.ended()
    assert budget.grant(20, 0.0)
    assert budget.refused == 2
    few = RetryBudget(RetrySpec(budget=0, min_per_second=2))
    assert [few.grant(1, at_s) for at_s in (10.0, 10.0, 10.0, 10.5, 10.5, 60.0, 60.0, 60.0)] == [
        *(True, True, False),
        *(True, False),
        *(True, True, False),
    ]
    assert not RetryBudget(RetrySpec(enabled=False)).grant(100, 0.0)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 50), st.floats(0, 5)), max_size=200))
def test_retries_that_go_on_never_exceed_the_budget(steps: list[tuple[bool, int, float]]) -> None:
    spec = RetrySpec(budget=0.2, min_per_second=3)
    budget, going_on, beside, now_s = RetryBudget(spec), 0, 0, 0.0
    for ends, requests, later_s in steps:
        now_s += later_s
        if ends and going_on:
            budget.ended()
            going_on -= 1
        elif budget.grant(requests, now_s):
            going_on += 1
            beside += going_on > 0.2 * requests
    assert beside <= 3 + 3 * now_s


@pytest.mark.parametrize(
    "wrong",
    [{"most": 1.5}, {"consecutive": 0}, {"slow_factor": 1.0}, {"stall_s": 0.0}, {"base_s": 90.0}],
    ids=str,
)
def test_an_ejection_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="ejection"):
        replace(SPEC, **wrong)


def test_a_gateways_spec_survives_the_wire() -> None:
    spec = GatewaySpec(replace(SPEC, errors=False, most=0.3), RetrySpec(budget=0.1))
    assert GatewaySpec.from_wire(asdict(spec)) == spec
