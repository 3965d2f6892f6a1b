"""How often a replica is asked: often while it starts, once a period from then on."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from chaos.targets.local.probes import watch
from chaos.targets.local.spec import LIVENESS, READINESS
from chaos.targets.local.target import LocalTarget
from tests.support.local_cluster import COMMAND, Toy, all_ready, probe, tell, toy_spec, toys


@pytest.fixture
def toy() -> Iterator[Toy]:
    with toys(1) as [one]:
        yield one


def test_a_replica_is_asked_often_until_it_passes_and_then_once_a_period(toy: Toy) -> None:
    slow = probe(READINESS, period_s=20.0)

    async def ask() -> list[bool]:
        tell(toy.metrics_port, ready=False)
        async with aclosing(watch(slow, toy.port, 0.1)) as observations:
            first = [await anext(observations) for _ in range(3)]
            assert first[-1].began_s - first[0].began_s < slow.period_s
            tell(toy.metrics_port, ready=True)
            passed = [await anext(observations)]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    passed.append(await anext(observations))
        return [seen.passed for seen in (*first, *passed)]

    assert asyncio.run(ask()) == [False, False, False, True]


def test_without_a_period_for_the_start_failures_come_once_a_period_too(toy: Toy) -> None:
    async def ask() -> None:
        tell(toy.metrics_port, healthy=False)
        async with aclosing(watch(probe(LIVENESS, period_s=20.0), toy.port)) as observations:
            assert not (await anext(observations)).passed
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await anext(observations)

    asyncio.run(ask())


def test_a_start_is_noticed_long_before_a_slow_readiness_probe_would_come(tmp_path: Path) -> None:
    slow = probe(READINESS, period_s=60.0)
    starts_late = ("sh", "-c", 'sleep 1; exec "$0" "$@"', sys.executable, *COMMAND[1:])
    spec = toy_spec(tmp_path, 1, readiness=slow, ready_within_s=30.0, command=starts_late)
    with LocalTarget(spec) as target:
        assert all_ready(target)
