"""What a scrape gets is to the byte what prometheus_client would make of the same registry, however it was made."""

import urllib.request

import prometheus_client
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from exporters.exposition import serve
from exporters.families import Family
from exporters.histograms import Histogram
from exporters.inference import InferenceMetrics
from exporters.registry import Registry, counter, gauge
from exporters.text_format import CONTENT_TYPE, TextFormat

SECONDS = Family("a_seconds", "histogram", "Some seconds.", labels=("who",), buckets=(0.5, 1.0, 2.5))
EVENTS = Family("b_total", "counter", "Events:\nwith a \\ and a line's end.", labels=("who", "what"))
LEVEL = Family("c", "gauge", "A level.")

amounts = st.floats(allow_nan=False, width=32) | st.sampled_from([0.0, 0.5, 1.0, 2.5, 2.5000001])
words = st.text(max_size=8) | st.sampled_from(['"', "\\", "a\nb", "ü"])


@given(st.lists(st.tuples(words, amounts), max_size=12))
def test_every_rendering_is_that_of_prometheus_client(events: list[tuple[str, float]]) -> None:
    registry = Registry()
    seconds, level = Histogram(SECONDS, registry), gauge(LEVEL, registry)
    happened, rendered = counter(EVENTS, registry), TextFormat()
    for who, amount in events:
        seconds.labels(who).observe(amount)
        happened.labels("someone", who).inc(abs(amount))
        level.set(amount)
        assert rendered(registry) == generate_latest(registry)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), amounts), max_size=30))
def test_our_histogram_shows_what_that_of_prometheus_client_shows(events: list[tuple[str, float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    cheap = Histogram(SECONDS, ours)
    plain = prometheus_client.Histogram(
        SECONDS.name, SECONDS.help, SECONDS.labels, registry=theirs, buckets=SECONDS.buckets
    )
    for who, amount in events:
        cheap.labels(who).observe(amount)
        plain.labels(who).observe(amount)
    shown = generate_latest(theirs).decode().splitlines(keepends=True)
    assert generate_latest(ours).decode() == "".join(line for line in shown if "_created" not in line)


def test_lines_follow_the_values_and_go_with_their_series() -> None:
    registry, rendered = CollectorRegistry(), TextFormat()
    level = prometheus_client.Gauge("level", "A level.", ["at"], registry=registry)
    level.labels("top").set(1)
    assert b'level{at="top"} 1.0\n' in rendered(registry)
    level.labels("top").set(2)
    assert b'level{at="top"} 2.0\n' in rendered(registry)
    level.remove("top")
    level.labels("low").set(3)
    assert rendered(registry).endswith(b'level{at="low"} 3.0\n')


def test_what_it_does_not_know_is_rendered_by_prometheus_client_without_asking_twice() -> None:
    asked = []

    class Odd(prometheus_client.registry.Collector):
        def collect(self) -> list[Metric]:
            asked.append(self)
            stamped = GaugeMetricFamily("stamped", "With its time.")
            stamped.add_metric([], 1.0, timestamp=1234.5)
            return [stamped]

        def describe(self) -> list[Metric]:
            return []

    registry, informed = CollectorRegistry(), CollectorRegistry()
    prometheus_client.Info("build", "What runs.", registry=informed).info({"version": "1"})
    assert TextFormat()(informed) == generate_latest(informed)
    registry.register(Odd())
    text = TextFormat()(registry)
    assert len(asked) == 1
    assert text == generate_latest(registry)
    assert b"stamped 1.0 1234500\n" in text


def test_a_scrape_that_would_take_other_formats_gets_the_text_format() -> None:
    metrics = InferenceMetrics("tiny")
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    with serve(metrics.registry, host="127.0.0.1", port=0) as exposition:
        url = f"http://127.0.0.1:{exposition.port}/metrics"
        asked = urllib.request.Request(url, headers={"Accept": accept, "Accept-Encoding": "gzip"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            kind, body = answer.headers["Content-Type"], answer.read()
        with urllib.request.urlopen(f"{url}?name[]=ds_build_info", timeout=10) as answer:
            chosen = answer.read().decode()
    assert kind == CONTENT_TYPE
    assert b"# TYPE ds_requests_total counter\n" in body
    assert {line.split("{")[0] for line in chosen.splitlines() if not line.startswith("#")} == {
        "ds_build_info"
    }
