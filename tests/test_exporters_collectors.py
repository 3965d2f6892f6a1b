"""Collectors fail alone."""

from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from exporters.collectors import CollectorSet


class Good:
    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("good", "Works.", value=7)


class Broken:
    """Fails after its first family."""

    def __init__(self) -> None:
        self.broken = True

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily("partial", "Known before the failure.", value=1)
        if self.broken:
            raise RuntimeError("the device fell off the bus")
        yield GaugeMetricFamily("rest", "Known afterwards.", value=2)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_a_collector_that_raises_leaves_the_others_and_what_it_knew(registry: CollectorRegistry) -> None:
    collectors = CollectorSet(registry)
    broken = Broken()
    collectors.add("broken", broken)
    collectors.add("good", Good())
    value = registry.get_sample_value

    assert value("good") == 7
    assert value("partial") == 1
    assert value("rest") is None
    assert value("ds_collector_success", {"collector": "good"}) == 1
    assert value("ds_collector_success", {"collector": "broken"}) == 0
    for name in ("good", "broken"):
        assert 0 <= (value("ds_collector_duration_seconds", {"collector": name}) or 0) < 5

    broken.broken = False
    assert value("rest") == 2
    assert value("ds_collector_success", {"collector": "broken"}) == 1


def test_an_outage_is_logged_once_not_once_per_scrape(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    collectors = CollectorSet(registry)
    broken = Broken()
    collectors.add("broken", broken)
    for broken.broken in (True, True, False, True):
        list(registry.collect())
    assert [record.getMessage() for record in caplog.records] == [
        "collector failed: collector=broken error=RuntimeError('the device fell off the bus')"
    ] * 2


def test_a_collector_runs_at_scrapes_only_and_its_name_is_its_own(registry: CollectorRegistry) -> None:
    class Counting:
        runs = 0

        def collect(self) -> Iterable[Metric]:
            self.runs += 1
            return ()

    counting = Counting()
    collectors = CollectorSet(registry)
    collectors.add("counting", counting)
    with pytest.raises(ValueError, match="'counting'"):
        collectors.add("counting", Good())
    assert counting.runs == 0
    list(registry.collect())
    assert counting.runs == 1
