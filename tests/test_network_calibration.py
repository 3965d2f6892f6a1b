"""The network of the local target beside what the kernel does to real packets, as a plain client sees both.

Where a user may have a network namespace and `tc` the queues: netem and tbf. Everywhere on Linux: packets that a
socket filter loses, which TCP has to send again. Medians and shares, of a machine that others may keep busy.
"""

import sys
from collections.abc import Iterator

import pytest

from chaos.targets.effects import Bucket, Traffic
from tests.support.disturbed_network import Proxy, proxied
from tests.support.kernel_network import really
from tests.support.plain_client import LostPackets, Seen, Work, see, server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux'"),
]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with proxied() as started:
        yield started


def as_the_kernel_does(queue: str, work: Work) -> Seen:
    seen = really(queue, work)
    if isinstance(seen, str):
        pytest.skip(f"this machine has nothing to compare with: {seen}")
    return seen


@pytest.mark.parametrize(
    ("queue", "traffic"),
    [
        ("netem delay 50ms", Traffic(delay_s=0.05)),
        ("netem delay 50ms 20ms", Traffic(delay_s=0.05, jitter_s=0.02)),
        ("netem loss 10%", Traffic(loss=0.1)),
        ("netem corrupt 10%", Traffic(corruption=0.1)),
        ("netem duplicate 50%", Traffic(duplication=0.5)),
    ],
)
def test_an_exchange_takes_as_long_as_behind_netem(proxy: Proxy, queue: str, traffic: Traffic) -> None:
    work = Work(exchanges=40)
    real = as_the_kernel_does(queue, work)
    with proxy.disturbed(traffic):
        ours = see(proxy.port, work)
    assert ours.exchange[0] == pytest.approx(real.exchange[0], abs=10, rel=0.1)
    assert ours.exchange[1] == pytest.approx(real.exchange[1], abs=60, rel=0.5)
    assert ours.event[0] == pytest.approx(real.event[0], abs=15, rel=0.2)


def test_bulk_flows_as_fast_as_through_the_kernels_token_bucket(proxy: Proxy) -> None:
    work = Work(connections=2, exchanges=1, events=1, bulk_bytes=300_000)
    real = as_the_kernel_does("tbf rate 800kbit burst 10000b limit 20000b", work)
    with proxy.disturbed(Traffic(bucket=Bucket(100e3, 10e3, 20_000))):
        ours = see(proxy.port, work)
    assert real.bulk_kb_per_s is not None
    assert ours.bulk_kb_per_s == pytest.approx(real.bulk_kb_per_s, rel=0.15)


def test_what_is_lost_comes_as_late_as_it_does_when_a_kernel_loses_packets(proxy: Proxy) -> None:
    work, losing = Work(exchanges=60, events=1000), LostPackets(0.1)
    with server(losing) as port:
        real = see(port, work, losing)
    with proxy.disturbed(Traffic(loss=0.1)):
        ours = see(proxy.port, work)
    assert ours.exchange[1] == pytest.approx(real.exchange[1], rel=0.6), "200 ms, and doubled"
    assert ours.event[0] == pytest.approx(real.event[0], abs=10), "the next event tells of a loss"
