"""A request's events become each observation exactly once, whatever their order and whoever reports them."""

import itertools
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from exporters.inference import InferenceMetrics, RequestMetrics
from exporters.series.server import INVALID_REASONS, OUTCOMES


@dataclass
class Clock:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Reader:
    """Reads single values of one server's exposition."""

    metrics: InferenceMetrics

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, {"model": "tiny", **labels})

    def count_and_sum(self, name: str, **labels: str) -> tuple[float | None, float | None]:
        return self.value(f"{name}_count", **labels), self.value(f"{name}_sum", **labels)

    def ended(self, name: str) -> dict[tuple[str, str], float | None]:
        return {
            (outcome, streaming): self.value(name, outcome=outcome, streaming=streaming)
            for outcome in OUTCOMES
            for streaming in ("true", "false")
        }


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reader(clock: Clock) -> Reader:
    return Reader(InferenceMetrics("tiny", cache_tiers=("memory",), clock=clock))


def test_every_stage_of_a_streamed_request_is_timed(reader: Reader, clock: Clock) -> None:
    request = reader.metrics.request(streaming=True)
    for wait_s, event in (
        (0.5, request.scheduled),
        (0.25, request.token),
        (0.125, request.token),
        (0.375, request.token),
        (1.0, lambda: request.finished("ok", prompt_tokens=64, output_tokens=3)),
    ):
        clock.now_s += wait_s
        event()
    assert reader.count_and_sum("ds_queue_time_seconds") == (1, 0.5)
    assert reader.count_and_sum("ds_time_to_first_token_seconds") == (1, 0.75)
    assert reader.count_and_sum("ds_inter_token_latency_seconds") == (2, 0.5)
    assert reader.count_and_sum("ds_time_per_output_token_seconds") == (1, 0.25)
    labels = {"outcome": "ok", "streaming": "true"}
    assert reader.count_and_sum("ds_inference_latency_seconds", **labels) == (1, 2.25)
    assert reader.value("ds_requests_total", outcome="ok") == 1
    assert reader.value("ds_tokens_total", direction="prompt") == 64
    assert reader.value("ds_tokens_total", direction="generation") == 3


def test_several_tokens_per_event_count_as_told_at_the_end(reader: Reader, clock: Clock) -> None:
    request = reader.metrics.request(streaming=False)
    for _ in range(3):
        clock.now_s += 1.0
        request.token()
    request.finished("ok", output_tokens=9)
    assert reader.value("ds_tokens_total", direction="generation") == 9
    assert reader.count_and_sum("ds_time_per_output_token_seconds") == (1, 2.0 / 8)


@pytest.mark.parametrize(
    ("outcome", "queue_time"),
    [("aborted", (1, 3.0)), ("timeout", (1, 3.0)), ("error", (1, 3.0)), ("rejected", (0, 0.0))],
)
def test_a_request_that_ends_in_the_queue_waited_unless_it_was_rejected(
    reader: Reader, clock: Clock, outcome: str, queue_time: tuple[float, float]
) -> None:
    request = reader.metrics.request(streaming=True)
    clock.now_s += 3.0
    request.finished(outcome)
    assert reader.count_and_sum("ds_queue_time_seconds") == queue_time
    assert reader.count_and_sum("ds_inference_latency_seconds", outcome=outcome, streaming="true") == (1, 3)
    assert reader.value("ds_requests_waiting") == 0


def test_the_oldest_queued_request_shows_a_queue_that_stands_still(reader: Reader, clock: Clock) -> None:
    age = "ds_oldest_queued_request_age_seconds"
    assert reader.value(age) == 0
    first = reader.metrics.request(streaming=True)
    clock.now_s += 2.0
    second = reader.metrics.request(streaming=True)
    clock.now_s += 5.0
    assert reader.value(age) == 7.0
    first.scheduled()
    assert reader.value(age) == 5.0
    second.finished("aborted")
    assert reader.value(age) == 0


def test_every_child_exists_with_zero_before_the_first_request(reader: Reader) -> None:
    lines = generate_latest(reader.metrics.registry).decode().splitlines()
    values = {line.rsplit(" ", 1)[0]: line.rsplit(" ", 1)[1] for line in lines if line[0] != "#"}
    others = {name: value for name, value in values.items() if not name.startswith(("ds_build", "ds_coll"))}
    assert set(others.values()) == {"0.0"}
    assert set(reader.ended("ds_inference_latency_seconds_count").values()) == {0}
    assert {reader.value("ds_requests_total", outcome=outcome) for outcome in OUTCOMES} == {0}
    assert not [name for name in others if name.startswith("ds_cache_hit_ratio")]


@given(
    lookups=st.lists(
        st.tuples(st.sampled_from(["memory", "disk"]), st.integers(0, 500), st.integers(0, 500)), max_size=20
    )
)
def test_the_hit_ratio_is_hits_over_queries_and_absent_without_any(
    lookups: list[tuple[str, int, int]],
) -> None:
    reader = Reader(InferenceMetrics("tiny", cache_tiers=("memory", "disk")))
    for tier, one, other in lookups:
        hit_tokens, queried_tokens = sorted((one, other))
        reader.metrics.cache_lookup(tier, queried_tokens=queried_tokens, hit_tokens=hit_tokens)
    for tier in ("memory", "disk"):
        queries = sum(max(one, other) for name, one, other in lookups if name == tier)
        hits = sum(min(one, other) for name, one, other in lookups if name == tier)
        assert reader.value("ds_cache_queries_total", tier=tier) == queries
        assert reader.value("ds_cache_hits_total", tier=tier) == hits
        assert reader.value("ds_cache_hit_ratio", tier=tier) == (hits / queries if queries else None)


@pytest.mark.parametrize(
    ("tier", "queried_tokens", "hit_tokens"), [("disk", 1, 1), ("memory", 1, 2), ("memory", 1, -1)]
)
def test_an_impossible_cache_lookup_is_refused(
    reader: Reader, tier: str, queried_tokens: int, hit_tokens: int
) -> None:
    with pytest.raises(ValueError, match=r"tier is one of memory|hit_tokens must"):
        reader.metrics.cache_lookup(tier, queried_tokens=queried_tokens, hit_tokens=hit_tokens)
    assert reader.value("ds_cache_queries_total", tier="memory") == 0


def test_an_unknown_outcome_is_refused_and_the_request_can_still_end(reader: Reader) -> None:
    request = reader.metrics.request(streaming=True)
    with pytest.raises(ValueError, match="not 'cancelled'"):
        request.finished("cancelled")
    request.finished("aborted")
    assert reader.value("ds_requests_total", outcome="aborted") == 1


def test_what_was_never_told_is_absent_and_not_0() -> None:
    """The README's three lines: a server that says nothing of a KV cache, of caches, or of what it refused."""
    reader = Reader(InferenceMetrics("tiny"))
    untold = ("ds_kv_", "ds_cache_", "ds_engine_", "ds_invalid_")
    lines = generate_latest(reader.metrics.registry).decode().splitlines()
    assert [line for line in lines if line.startswith(untold)] == []
    with pytest.raises(ValueError, match="of which there are none"):
        reader.metrics.cache_lookup("memory", queried_tokens=1, hit_tokens=1)


def test_requests_that_were_none_are_counted_by_why_from_the_first_use_on(reader: Reader) -> None:
    counted = reader.metrics.invalid_requests
    assert {reader.value("ds_invalid_requests_total", reason=reason) for reason in INVALID_REASONS} == {0}
    counted.count("unserved")
    assert reader.value("ds_invalid_requests_total", reason="unserved") == 1
    with pytest.raises(ValueError, match="reason is one of body"):
        counted.count("because")
    assert reader.value("ds_requests_total", outcome="error") == 0


def test_the_kv_cache_shows_the_last_share_told(reader: Reader) -> None:
    reader.metrics.kv_usage(0.75)
    assert reader.value("ds_kv_cache_usage_ratio") == 0.75


@dataclass
class Expected:
    """What one request must have contributed, told in the plainest way."""

    streaming: bool
    scheduled: bool = False
    tokens: int = 0
    outcome: str | None = None

    def report(self, event: str, request: RequestMetrics) -> None:
        match event:
            case "scheduled":
                request.scheduled()
                self.scheduled |= self.outcome is None
            case "token":
                request.token()
                if self.outcome is None:
                    self.scheduled = True
                    self.tokens += 1
            case outcome:
                request.finished(outcome, prompt_tokens=5)
                self.outcome = self.outcome or outcome

    @property
    def queue_times(self) -> int:
        return int(self.scheduled or self.outcome not in {None, "rejected"})


EVENTS = st.sampled_from(["scheduled", "token", "token", *OUTCOMES])


@given(
    streaming=st.lists(st.booleans(), min_size=1, max_size=4),
    steps=st.lists(st.tuples(st.integers(0, 3), EVENTS), max_size=40),
)
def test_any_order_of_events_observes_everything_exactly_once(
    streaming: list[bool], steps: list[tuple[int, str]]
) -> None:
    reader = Reader(InferenceMetrics("tiny", clock=itertools.count(0.0, 0.5).__next__))
    expected = [Expected(streams) for streams in streaming]
    requests = [reader.metrics.request(streaming=streams) for streams in streaming]
    for which, event in steps:
        number = which % len(requests)
        expected[number].report(event, requests[number])

    ended = Counter((e.outcome, str(e.streaming).lower()) for e in expected if e.outcome)
    for key, count in reader.ended("ds_inference_latency_seconds_count").items():
        assert count == ended[key]
    for outcome in OUTCOMES:
        assert reader.value("ds_requests_total", outcome=outcome) == sum(
            count for (name, _), count in ended.items() if name == outcome
        )
    open_ones = [e for e in expected if e.outcome is None]
    assert reader.value("ds_requests_running") == sum(e.scheduled for e in open_ones)
    assert reader.value("ds_requests_waiting") == sum(not e.scheduled for e in open_ones)
    counts = {
        "ds_queue_time_seconds_count": sum(e.queue_times for e in expected),
        "ds_time_to_first_token_seconds_count": sum(e.tokens > 0 for e in expected),
        "ds_inter_token_latency_seconds_count": sum(max(0, e.tokens - 1) for e in expected),
        "ds_time_per_output_token_seconds_count": sum(e.tokens > 1 for e in expected if e.outcome),
    }
    assert {name: reader.value(name) for name in counts} == counts
    assert reader.value("ds_tokens_total", direction="generation") == sum(e.tokens for e in expected)
    assert reader.value("ds_tokens_total", direction="prompt") == 5 * ended.total()


@contextmanager
def eager_thread_switches() -> Iterator[None]:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)


def test_threads_that_race_to_end_requests_end_each_exactly_once(reader: Reader) -> None:
    requests = [reader.metrics.request(streaming=True) for _ in range(500)]
    barrier = threading.Barrier(4)

    def race(outcome: str) -> None:
        barrier.wait()
        for request in requests:
            request.scheduled()
            request.token()
            request.finished(outcome)

    racers = [threading.Thread(target=race, args=(outcome,)) for outcome in OUTCOMES[:4]]
    with eager_thread_switches():
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
    observed = reader.ended("ds_inference_latency_seconds_count").values()
    assert sum(count or 0 for count in observed) == len(requests)
    assert reader.value("ds_time_to_first_token_seconds_count") == len(requests)
    assert reader.value("ds_queue_time_seconds_count") == len(requests)
    assert (reader.value("ds_requests_running"), reader.value("ds_requests_waiting")) == (0, 0)
