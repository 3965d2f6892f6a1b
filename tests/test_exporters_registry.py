"""Declared families become metrics of one registry, and of no other."""

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import REGISTRY

from exporters import registry
from exporters.inference import InferenceMetrics
from exporters.series import server


def test_our_registry_shows_no_created_series_and_leaves_those_of_others_alone() -> None:
    theirs = CollectorRegistry()
    prometheus_client.Counter("theirs", "A counter of the user's own.", registry=theirs)
    ours = InferenceMetrics("tiny").registry
    assert b"_created" not in generate_latest(ours)
    assert b"theirs_created" in generate_latest(theirs)


def test_a_registry_passed_in_is_used_and_the_global_one_is_not() -> None:
    passed_in = CollectorRegistry()
    before = set(REGISTRY._names_to_collectors)
    assert InferenceMetrics("tiny", registry=passed_in).registry is passed_in
    assert b"ds_inference_latency_seconds" in generate_latest(passed_in)
    assert set(REGISTRY._names_to_collectors) == before


def test_mounting_twice_on_one_registry_is_refused() -> None:
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        InferenceMetrics("other", registry=InferenceMetrics("tiny").registry)


@pytest.mark.parametrize(
    "build", [registry.counter, registry.gauge, registry.histogram], ids=["counter", "gauge", "histogram"]
)
def test_a_family_cannot_be_built_as_another_kind(build: object) -> None:
    wrong = {
        registry.counter: server.REQUESTS_RUNNING,
        registry.gauge: server.REQUESTS,
        registry.histogram: server.REQUESTS,
    }
    assert callable(build)
    with pytest.raises(ValueError, match="is declared as a"):
        build(wrong[build], CollectorRegistry())
