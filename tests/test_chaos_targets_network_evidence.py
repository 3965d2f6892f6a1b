"""What round trips prove of a network fault, and what they do not."""

import math

import pytest

from chaos.targets.effects import Bucket, Link, Traffic
from chaos.targets.local import network_evidence
from chaos.targets.local.round_trips import RoundTrips
from chaos.targets.local.transfers import Transfer, Transfers, kept_s, order_for


def trips(*network_s: float, direct_s: float = 0.01) -> RoundTrips:
    return RoundTrips(tuple(direct_s + each for each in network_s), (direct_s,) * len(network_s))


QUIET = network_evidence.Before.of(trips(0.002), trips(0.003), beside_s=0.0)


@pytest.mark.parametrize(
    ("now", "delay_s", "verified"),
    [
        (trips(0.5, 0.21, 0.4), 0.1, True),
        (trips(0.5, 0.1, 0.4), 0.1, False),
        (trips(0.5, 0.21, 0.4, direct_s=0.3), 0.1, True),
        (trips(0.002, direct_s=0.3), 0.1, False),
        (trips(math.inf, math.inf), 0.1, False),
        (RoundTrips(), 0.1, False),
        (trips(0.0045), 0.001, False),
        (trips(0.0047), 0.001, False),
        (trips(0.0055), 0.001, True),
        (trips(0.3), 0.0, False),
    ],
    ids=[
        "the fastest of several is slow enough",
        "the fastest of several is too fast",
        "slow on a busy machine, which is slow without the network too",
        "a busy machine alone",
        "no answer",
        "nothing was measured",
        "a small delay that is not there",
        "a small delay within the noise",
        "a small delay beyond the noise",
        "no delay was wanted",
    ],
)
def test_a_delay_is_told_from_noise_by_the_fastest_requests(
    now: RoundTrips, delay_s: float, verified: bool
) -> None:
    link = Link(to_replica=Traffic(delay_s=delay_s))
    assert network_evidence.hit("one", link, QUIET, now, beside_s=0.0).verified is verified
    assert not network_evidence.hit("one", link, None, now, beside_s=0.0).verified
    noisy = network_evidence.Before.of(trips(0.002), trips(0.152), beside_s=0.0)
    assert not network_evidence.hit("one", link, noisy, now, beside_s=0.0).verified, (
        "noise as large as the delay"
    )


@pytest.mark.parametrize(
    ("late", "beside", "share", "verified"),
    [(4, 0, 0.01, True), (2, 0, 0.01, False), (4, 2, 0.01, False), (4, 0, 0.5, False), (40, 0, 0.5, True)],
    ids=["enough", "too few", "the machine is late too", "fewer than such a loss makes", "very many"],
)
def test_a_loss_is_told_from_noise_by_how_many_requests_are_late(
    late: int, beside: int, share: float, verified: bool
) -> None:
    through = tuple(0.3 if number < late else 0.01 for number in range(100))
    direct = tuple(0.3 if number < beside else 0.01 for number in range(100))
    link = Link(to_replica=Traffic(loss=share))
    assert (
        network_evidence.hit("one", link, QUIET, RoundTrips(through, direct), beside_s=0.0).verified
        is verified
    )


def test_a_network_is_back_when_it_costs_what_it_did_or_when_nobody_is_behind_it() -> None:
    link = Link(to_replica=Traffic(delay_s=0.1))
    for now, verified in [
        (trips(0.004), True),
        (trips(0.2), False),
        (trips(math.inf), False),
        (RoundTrips((math.inf,), (math.inf,)), True),
    ]:
        assert network_evidence.back("one", link, QUIET, now, beside_s=0.0).verified is verified


@pytest.mark.parametrize(
    ("silent", "answered", "beside", "verified"),
    [
        (3, 0, 3, True),
        (3, 0, 1, True),
        (3, 0, 0, False),
        (2, 1, 3, False),
        (2, 0, 3, False),
        (0, 0, 3, False),
    ],
    ids=[
        "silence, and answers beside it",
        "one answer beside it is enough",
        "a replica that answers nobody",
        "an answer came through",
        "one was refused",
        "all were refused",
    ],
)
def test_a_partition_is_silence_through_the_network_and_answers_beside_it(
    silent: int, answered: int, beside: int, verified: bool
) -> None:
    through = (0.01,) * answered + (math.inf,) * (3 - answered)
    direct = (0.01,) * beside + (math.inf,) * (3 - beside)
    now = RoundTrips(through, direct, silent)
    for link in (Link(Traffic(cut=True)), Link(None, Traffic(cut=True, delay_s=1.0))):
        assert network_evidence.hit("one", link, QUIET, now, beside_s=0.0).verified is verified


NARROW = Link(from_replica=Traffic(bucket=Bucket(100_000, 10_000, 20_000)))


@pytest.mark.parametrize(
    ("through_s", "direct_s", "hit", "back"),
    [
        (0.45, 0.01, True, False),
        (0.45, 0.3, False, True),
        (0.1, 0.01, False, True),
        (0.25, 0.01, False, False),
        (math.inf, 0.01, True, True),
        (math.inf, math.inf, False, True),
    ],
    ids=[
        "as slow as the limit",
        "slow beside it too",
        "fast",
        "between the two",
        "slower than anybody waits",
        "slow everywhere",
    ],
)
def test_a_limit_keeps_bytes_through_the_network_and_not_beside_it(
    through_s: float, direct_s: float, hit: bool, back: bool
) -> None:
    moved = Transfers(Transfer(5000, 50_000, through_s), Transfer(5000, 50_000, direct_s))
    assert kept_s(NARROW, moved.through) == pytest.approx(0.4)
    now = trips(0.002)
    assert network_evidence.hit("one", NARROW, QUIET, now, 0.0, moved).verified is hit
    assert network_evidence.back("one", NARROW, QUIET, now, 0.0, moved).verified is back
    assert not network_evidence.hit("one", NARROW, QUIET, now, 0.0, None).verified


def test_so_much_is_moved_that_the_limit_keeps_it_for_long_but_never_very_much() -> None:
    order = order_for(NARROW, Transfer(150, 500, 0.01))
    assert (order.requests, order.padding_bytes) == (100, 0)
    up = Link(to_replica=Traffic(bucket=Bucket(100_000, 10_000, 20_000)))
    order = order_for(up, Transfer(150, 500, 0.01))
    assert order.requests * (150 + order.padding_bytes) >= 50_000
    assert order.requests < 20
    fast = Link(from_replica=Traffic(bucket=Bucket(1e9, 10_000, 20_000)))
    assert order_for(fast, Transfer(150, 500, 0.01)).requests == 1000
    beyond = Transfers(Transfer(150_000, 500_000, 0.5), Transfer(150_000, 500_000, 0.5))
    assert not network_evidence.hit("one", fast, QUIET, trips(0.002), 0.0, beyond).verified


def test_damaged_packets_are_as_many_late_requests_as_lost_ones() -> None:
    through = tuple(0.3 if number < 40 else 0.01 for number in range(100))
    now = RoundTrips(through, (0.01,) * 100)
    for traffic in (Traffic(loss=0.3), Traffic(corruption=0.3), Traffic(loss=0.15, corruption=0.15)):
        evidence = network_evidence.hit("one", Link(to_replica=traffic), QUIET, now, beside_s=0.0)
        assert evidence.verified, evidence.how
    twice = network_evidence.hit("one", Link(to_replica=Traffic(duplication=0.3)), QUIET, now, beside_s=0.0)
    assert not twice.verified


def test_a_network_that_another_fault_has_cut_is_no_failed_recovery() -> None:
    link, cut_off = Link(to_replica=Traffic(delay_s=0.1)), RoundTrips((math.inf,), (0.01,), 1)
    assert not network_evidence.back("one", link, QUIET, cut_off, beside_s=0.0).verified
    assert network_evidence.back("one", link, QUIET, cut_off, beside_s=math.inf).verified
