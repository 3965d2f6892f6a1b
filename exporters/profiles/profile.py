"""What a profile file may hold: for every signal the engine's series, or the reason why there is none.

Series of one signal add up (`request` is finished plus rejected ones), unless their versions exclude each other:
then they are one series under the names it had over time. A profile that leaves a signal out is refused.
"""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from exporters.profiles.signals import COMMON_LABELS, SIGNALS
from exporters.series.family import Kind

T = TypeVar("T")
SourceKind = Literal["counter", "gauge", "histogram", "summary"]


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"expected a regular expression: {error}") from error
    return text


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


Expression = Annotated[str, Field(min_length=1), AfterValidator(_expression)]
"""A regular expression that RE2 and Python read alike; it must match all of a name."""
Version = Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")]
Sentence = Annotated[str, Field(min_length=8)]
# YAML has lists, a frozen model has tuples: the container alone is converted, its items stay strict.
Listed = Annotated[tuple[T, ...], Field(strict=False, min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Series(_Strict):
    """One family of the engine that is a signal, or a part of it."""

    name: Expression
    """After the profile's prefix, as on the wire; of a histogram or summary without `_bucket`, `_sum`, `_count`."""
    type: SourceKind
    sample: Literal["sum", "count"] | None = None
    """Of a histogram or summary: this one of its series is meant, a counter."""
    edges: Annotated[tuple[float, ...], Field(strict=False)] = ()
    """Of a histogram: its published bucket edges without +Inf, in the engine's unit; none where they are not known."""
    unit_factor: Annotated[float, Field(gt=0)] = 1.0
    """Times this it is in the signal's unit."""
    unit: str | None = None
    """Of prefix hits and lookups: what is counted, `tokens` or `blocks`."""
    labels: Mapping[str, str] = {}
    """Normalised label to the engine's, beyond those of the profile."""
    values: Mapping[str, Mapping[Expression, str]] = {}
    """Normalised label to {expression over the engine's value: normalised value}; the first match counts."""
    fixed: Mapping[str, str] = {}
    """Normalised labels that are the same on every sample."""
    where: Mapping[str, Expression] = {}
    """Only samples whose labels match."""
    since: Version | None = None
    """First release that has it."""
    until: Version | None = None
    """First release that has it no more."""
    enable: Sentence | None = None
    """What the operator must switch on to get it."""
    limit: Sentence | None = None
    """What it cannot tell, or how it misleads."""

    @property
    def kind(self) -> SourceKind:
        """What it is as a source: a `_sum` or `_count` is a counter."""
        return "counter" if self.sample else self.type

    @model_validator(mode="after")
    def _coherent(self) -> "Series":
        if self.sample and self.type not in ("histogram", "summary"):
            raise ValueError(f"sample: only a histogram or a summary has a {self.sample}, not a {self.type}")
        if self.edges and (self.type != "histogram" or list(self.edges) != sorted(set(self.edges))):
            raise ValueError("edges: expected rising ones, of a histogram")
        if self.since and self.until and _version(self.since) >= _version(self.until):
            raise ValueError(f"until: expected a release after {self.since}, got {self.until}")
        return self


class Absence(_Strict):
    """Signals that the engine does not have."""

    signals: Listed[str]
    """Names; `gpu_*` stands for all of that beginning."""
    reason: Sentence


class Profile(_Strict):
    """One engine."""

    format: Literal[1]
    """Version of this file format."""
    engine: Annotated[str, Field(pattern=r"^[a-z]+$")]
    """The value of the label `runtime`."""
    title: str
    release: str
    """The release whose names these are, or `main`: read in the repository."""
    detect: Expression
    """A whole family name that says: this is the engine."""
    prefix: Expression
    """Begins every name of `signals`."""
    endpoint: str
    """Where its series usually are."""
    notes: Annotated[tuple[Sentence, ...], Field(strict=False)] = ()
    """What a reader of any of its series must know."""
    labels: Mapping[str, str] = {}
    """Normalised label to the engine's, on every series that has it."""
    signals: Mapping[str, Listed[Series]]
    absent: Annotated[tuple[Absence, ...], Field(strict=False)] = ()

    def expression(self, series: Series) -> str:
        """The regular expression that matches a whole family name, in every spelling."""
        name = series.name if re.fullmatch(r"\w+", series.name) else f"(?:{series.name})"
        return f"{self.prefix}{name}"

    def labels_of(self, series: Series) -> Mapping[str, str]:
        """Normalised label to the engine's."""
        return {**self.labels, **series.labels}

    def reason(self, signal: str) -> str | None:
        """Why there is no such series; None when there is one."""
        for absence in self.absent:
            if any(fnmatchcase(signal, pattern) for pattern in absence.signals):
                return absence.reason
        return None

    def _absences(self) -> Iterator[tuple[str, str]]:
        for absence in self.absent:
            for pattern in absence.signals:
                for name in [name for name in SIGNALS if fnmatchcase(name, pattern)] or [pattern]:
                    yield name, absence.reason

    @model_validator(mode="after")
    def _whole(self) -> "Profile":
        absent = [name for name, _ in self._absences()]
        stated = [*self.signals, *absent]
        unknown = sorted(set(stated) - SIGNALS.keys())
        if unknown:
            raise ValueError(f"unknown signal {', '.join(unknown)}, expected one of {', '.join(SIGNALS)}")
        twice = sorted(name for name in set(stated) if stated.count(name) > 1)
        if twice:
            raise ValueError(
                f"expected each signal once, under signals or absent, got twice: {', '.join(twice)}"
            )
        missing = [name for name in SIGNALS if name not in stated]
        if missing:
            raise ValueError(
                f"expected every signal under signals or absent, got nothing for {', '.join(missing)}"
            )
        for name, series in self.signals.items():
            for number, one in enumerate(series):
                _check_part(f"signals.{name}[{number}]", one, SIGNALS[name].kind, SIGNALS[name].labels)
        _check_one_unit(self.signals)
        return self


def _check_part(where: str, series: Series, kind: Kind, labels: tuple[str, ...]) -> None:
    if series.kind != kind and not series.limit:
        raise ValueError(f"{where}: a {series.kind} is no {kind}: expected a `limit` that says what is lost")
    named = {*series.labels, *series.fixed, *series.values}
    unknown = sorted(named - {*labels, *COMMON_LABELS})
    if unknown:
        expected = ", ".join((*labels, *COMMON_LABELS))
        raise ValueError(f"{where}: unknown label {', '.join(unknown)}, expected one of {expected}")
    loose = sorted(series.values.keys() - series.labels.keys())
    if loose:
        raise ValueError(f"{where}.values: {', '.join(loose)} has no source, expected it under labels too")


def _check_one_unit(signals: Mapping[str, tuple[Series, ...]]) -> None:
    """A ratio exists within one unit only."""
    pair = [series for name in ("prefix_hits", "prefix_lookups") for series in signals.get(name, ())]
    units = {series.unit for series in pair}
    if pair and (None in units or len(units) > 1):
        raise ValueError("prefix_hits, prefix_lookups: expected one `unit` for both, such as tokens")
