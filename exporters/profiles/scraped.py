"""An exposition as Prometheus would store it: families with their types, labels and bucket edges.

Lenient where engines are: a sample spelled `vllm_x` under a TYPE line that says `vllm:x` has that type. Names stay as
they are on the wire: prometheus_client's own parser puts `_total` on every counter, and TGI's and Triton's have none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.samples import Sample

from exporters.profiles.samples import Exposition, ExpositionError, read_exposition

_PARTS = ("_bucket", "_sum", "_count")


@dataclass(slots=True)
class ScrapedFamily:
    """One family and all its samples, under the name that the samples have."""

    name: str
    type: str
    samples: list[Mapping[str, str]] = field(default_factory=list)
    """The labels of each sample."""

    def edges(self) -> Sequence[float]:
        """Bucket edges below +Inf, rising."""
        edges = {_number(labels["le"]) for labels in self.samples if "le" in labels}
        return sorted(edge for edge in edges if math.isfinite(edge))


def scraped_families(text: str) -> Sequence[ScrapedFamily]:
    """The families of an exposition, in Prometheus's or OpenMetrics' text format; lines that are none are left out.

    Raises:
        ExpositionError: it is neither, or it holds no sample.
    """
    return families_of(read_exposition(text))


def families_of(exposition: Exposition) -> Sequence[ScrapedFamily]:
    """The families of what was read of an exposition.

    Raises:
        ExpositionError: there is none.
    """
    types = {_spelled(name): kind for name, kind in exposition.types.items()}
    families: dict[str, ScrapedFamily] = {}
    for sample in exposition.samples:
        name, kind = _family_of(sample, types)
        if kind is not None:
            families.setdefault(name, ScrapedFamily(name, kind)).samples.append(sample.labels)
    if not families:
        raise ExpositionError("expected an exposition of metrics, got no sample")
    return tuple(families.values())


def _family_of(sample: Sample, types: Mapping[str, str]) -> tuple[str, str | None]:
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


def _number(text: str) -> float:
    """NaN where it is none: anything but a bucket may have a label of the same name."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _spelled(name: str) -> str:
    return name.replace(":", "_")
