"""An exposition as Prometheus would store it: families with their types, labels and bucket edges.

Lenient where engines are: a sample spelled `vllm_x` under a TYPE line that says `vllm:x` has that type. Names stay as
they are on the wire: prometheus_client's own parser puts `_total` on every counter, and TGI's and Triton's have none.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_TYPE_LINE = re.compile(r"^# TYPE (\S+) (\S+)\s*$", re.MULTILINE)
_LABEL = r'\s*([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\\n]|\\.)*)"\s*'
_SAMPLE_LINE = re.compile(
    rf"([a-zA-Z_:][\w:]*)\s*(?:\{{((?:{_LABEL},?)*)\}})?\s+"  # name, labels
    r"(?:[-+]?(?:[0-9.]+(?:[eE][-+]?[0-9]+)?|[iI]nf|[nN]a[nN]))"  # value
    r"(?:\s+[-+0-9.eE]+)?(?:\s+# \{.*)?\s*",  # timestamp, exemplar
)
_LABELS = re.compile(_LABEL)
_PARTS = ("_bucket", "_sum", "_count")


class ExpositionError(ValueError):
    """The text is no exposition of metrics. Ends in the command line, exit code 2."""


@dataclass(frozen=True, slots=True)
class _Sample:
    name: str
    labels: Mapping[str, str]


@dataclass(slots=True)
class ScrapedFamily:
    """One family and all its samples, under the name that the samples have."""

    name: str
    type: str
    samples: list[Mapping[str, str]] = field(default_factory=list)
    """The labels of each sample."""

    def edges(self) -> Sequence[float]:
        """Bucket edges below +Inf, rising."""
        edges = {float(labels["le"]) for labels in self.samples if "le" in labels}
        return sorted(edge for edge in edges if math.isfinite(edge))


def scraped_families(text: str) -> Sequence[ScrapedFamily]:
    """The families of an exposition, in Prometheus's or OpenMetrics' text format.

    Raises:
        ExpositionError: it is neither, or it holds no sample.
    """
    types = {_spelled(name): kind for name, kind in _TYPE_LINE.findall(text)}
    families: dict[str, ScrapedFamily] = {}
    for sample in _samples(text):
        name, kind = _family_of(sample, types)
        if kind is not None:
            families.setdefault(name, ScrapedFamily(name, kind)).samples.append(sample.labels)
    if not families:
        raise ExpositionError("expected an exposition of metrics, got no sample")
    return tuple(families.values())


def _samples(text: str) -> Iterable[_Sample]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            match = _SAMPLE_LINE.fullmatch(line)
            if match is None:
                raise ExpositionError(f"line {number}: expected a sample of a metric, got {line!r:.80}")
            yield _Sample(match[1], dict(_LABELS.findall(match[2] or "")))


def _family_of(sample: _Sample, types: Mapping[str, str]) -> tuple[str, str | None]:
    """The family's name and type; no type for what belongs to no family of its own."""
    for part in _PARTS:
        base = sample.name.removesuffix(part)
        if base != sample.name and types.get(_spelled(base)) in {"histogram", "summary"}:
            return base, types[_spelled(base)]
    if sample.name.endswith("_bucket") and "le" in sample.labels:
        return sample.name.removesuffix("_bucket"), "histogram"
    if sample.name.endswith("_created"):
        return sample.name, None
    # OpenMetrics names a counter's family without the suffix of its samples.
    of_family = types.get(_spelled(sample.name.removesuffix("_total")))
    return sample.name, types.get(_spelled(sample.name), of_family or "untyped")


def _spelled(name: str) -> str:
    return name.replace(":", "_")
