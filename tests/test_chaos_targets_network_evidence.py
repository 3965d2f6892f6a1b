"""What round trips prove of a network fault, and what they do not."""

import math

import pytest

from chaos.targets.effects import Link, Traffic
from chaos.targets.local import network_evidence
from chaos.targets.local.round_trips import RoundTrips


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
