"""Prometheus's text format, version 0.0.4, for registries that are scraped often: a line is put together once.

From one scrape to the next only values change: what comes before a value is kept from the last scrape. A registry that
holds what few have (timestamps, info, state sets, names beyond ASCII) is left to prometheus_client.
"""

import re
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric

from exporters.histograms import as_text

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PLAIN_NAME = re.compile(r"(?!__)[a-zA-Z_:][a-zA-Z0-9_:]*")
_PLAIN_TYPES = ("counter", "gauge", "histogram", "summary")
_ELSEWHERE = ("_created", "_gsum", "_gcount")
"""Ends of sample names that prometheus_client puts into families of their own."""

_Heads = dict[tuple[str, tuple[tuple[str, str], ...]], str]
"""Everything before the value, by name and labels."""


class TextFormat:
    """Renders one registry, over and over; two scrapes at once do no harm."""

    def __init__(self) -> None:
        self._heads: _Heads = {}

    def __call__(self, registry: CollectorRegistry) -> bytes:
        """The exposition as of now: to the byte what `generate_latest` makes of it."""
        metrics = list(registry.collect())
        heads: _Heads = {}
        try:
            text = "".join(line for metric in metrics for line in self._lines(metric, heads))
        except _NotPlainError:
            return generate_latest(_Collected(metrics))
        self._heads = heads
        return text.encode()

    def _lines(self, metric: Metric, heads: _Heads) -> Iterable[str]:
        yield _preface(metric)
        for sample in metric.samples:
            if sample.timestamp is not None:
                raise _NotPlainError
            key = sample.name, tuple(sample.labels.items())
            head = heads[key] = self._heads.get(key) or _head(sample.name, sample.labels)
            yield f"{head}{as_text(sample.value)}\n"


class _NotPlainError(Exception):
    """Rendering this needs more than this module knows."""


class _Collected(CollectorRegistry):
    """What was collected already: no collector is asked twice for one scrape."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        super().__init__()
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _preface(metric: Metric) -> str:
    if metric.type not in _PLAIN_TYPES or not _PLAIN_NAME.fullmatch(metric.name):
        raise _NotPlainError
    name = metric.name + "_total" if metric.type == "counter" else metric.name
    text = metric.documentation.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {text}\n# TYPE {name} {metric.type}\n"


def _head(name: str, labels: dict[str, str]) -> str:
    if name.endswith(_ELSEWHERE) or not all(map(_PLAIN_NAME.fullmatch, (name, *labels))):
        raise _NotPlainError
    shown = ",".join(f'{label}="{_escaped(value)}"' for label, value in sorted(labels.items()))
    return f"{name}{{{shown}}} " if shown else f"{name} "


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
