"""What only the living cluster could tell, asked when the load had ended: series, alerts, engine and counts."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, JsonValue, TypeAdapter, ValidationError

from chaos.errors import InputError
from chaos.record.cluster import Alert, Reconciliation, ReplicaCounts
from chaos.record.entry import Entry, Number
from chaos.run_folder import RunFolder

QUEUE_TIME = "signal queue_seconds"
"""Beside the expressions of assertions, and none itself: requests per second that left the queue, by bucket."""
CACHE_HITS = "signal prefix_hit_ratio"
"""The share of looked-up prompt tokens that the prefix caches of the whole cluster found."""

_STILL_FIRING = "it was firing when the run ended"
_CUT_SHORT = "the run was cut short: "


def _no_number(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


Value = Annotated[Number | None, BeforeValidator(_no_number)]


class KeptSeries(Entry):
    """One series of a panel of the dashboards over the run, as its Prometheus had it."""

    panel: str
    """Title of the panel that it belongs to."""
    note: str
    """The panel's description."""
    unit: str = "short"
    """Of the panel: `s`, `bytes`, `short`."""
    limit: float | None = None
    """A line that the panel draws; missing where it draws none."""
    label: str
    """Of this series in the panel's legend."""
    labels: dict[str, str] = Field(default_factory=dict)
    points: tuple[tuple[float, Value], ...]
    """Seconds on the run clock, and the value then; null where Prometheus had no number."""
    query: str = ""
    """What was asked."""


class AskedSeries(Entry):
    """One series of an expression that an assertion is about, over the run."""

    labels: dict[str, str] = Field(default_factory=dict)
    points: tuple[tuple[float, Value], ...]
    """Seconds on the run clock, and the value then; null where Prometheus had no number."""


@dataclass(frozen=True, slots=True)
class Observed:
    """All of it; None where it was not asked."""

    series: dict[str, KeptSeries] = field(default_factory=dict)
    """By panel and legend."""
    alerts: tuple[Alert, ...] | None = None
    engine: Mapping[str, JsonValue] | None = None
    reconciliation: Reconciliation | None = None
    promql: Mapping[str, tuple[AskedSeries, ...]] | None = None
    """What the expressions of assertions came to, by expression, and what every run asks, by its name."""
    cut_short: str | None = None
    """Why the run was, where a run of an earlier version says so here."""

    def write(self, folder: RunFolder) -> None:
        """Each to its own file; what was not asked has none, but for the counts, which end a run."""
        if self.series:
            folder.series.write_bytes(_SERIES.dump_json(self.series) + b"\n")
        if self.alerts is not None:
            folder.alerts.write_bytes(_ALERTS.dump_json(self.alerts, indent=2) + b"\n")
        if self.promql is not None:
            folder.promql.write_bytes(_PROMQL.dump_json(self.promql) + b"\n")
        if self.engine is not None:
            folder.engine.write_text(json.dumps(self.engine, indent=2) + "\n")
        folder.counts.write_bytes(_COUNTS.dump_json(self.reconciliation, indent=2) + b"\n")


_SERIES = TypeAdapter(dict[str, KeptSeries])
_PROMQL: TypeAdapter[Mapping[str, tuple[AskedSeries, ...]]] = TypeAdapter(
    Mapping[str, tuple[AskedSeries, ...]]
)
_ALERTS = TypeAdapter(tuple[Alert, ...])
_ENGINE = TypeAdapter(dict[str, JsonValue])
_COUNTS: TypeAdapter[Reconciliation | None] = TypeAdapter(Reconciliation | None)


def alert(name: str, severity: str, fired_s: float, resolved_s: float | None) -> Alert:
    """One firing, on the run clock; without an end when it was firing as the run ended."""
    values = {"name": name, "severity": severity, "fired_s": fired_s, "resolved_s": resolved_s}
    return Alert.of(values, {"resolved_s": _STILL_FIRING})


def replica_counts(
    replica: str, attempts: int, own: int | None, *, agrees: bool | None, gone: bool
) -> ReplicaCounts:
    """How one replica counted beside the gateway; `own` is None where it exports no such counter."""
    values = {
        "replica": replica,
        "gone": gone,
        "gateway_attempts": attempts,
        "replica_requests": own,
        "agrees": agrees,
    }
    reasons = {"replica_requests": "it exports no such counter", "agrees": "there is nothing to compare with"}
    return ReplicaCounts.of(values, reasons)


def read(folder: RunFolder) -> Observed | None:
    """What a run folder has of it; None when the run did not come to ask.

    Raises:
        InputError: a file is not what a run writes.
    """
    if folder.metrics.is_file():
        return _of_before(folder.metrics)
    if not folder.counts.is_file():
        return None
    return Observed(
        series=_parsed(_SERIES, folder.series) or {},
        alerts=_parsed(_ALERTS, folder.alerts),
        promql=_parsed(_PROMQL, folder.promql),
        engine=_parsed(_ENGINE, folder.engine),
        reconciliation=_parsed(_COUNTS, folder.counts),
    )


T = TypeVar("T")


def _parsed(adapter: TypeAdapter[T], path: Path) -> T | None:
    if not path.is_file():
        return None
    try:
        return adapter.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{path}: not the records of a run: {error}") from error


# --- Until schema 2 of the journal, all of it was one file, metrics.json, in which nulls had no reasons.


class _SeriesOfBefore(Entry):
    panel: str = ""
    note: str = ""
    unit: str = "short"
    limit: float | None = None
    label: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    points: tuple[tuple[float, Value], ...]
    query: str = ""


class _AlertOfBefore(Entry):
    name: str
    severity: str
    fired_s: float
    resolved_s: float | None


class _ReplicaOfBefore(Entry):
    replica: str
    gone: bool = Field(validation_alias=AliasChoices("gone", "killed"))
    gateway_attempts: int
    replica_requests: int | None
    agrees: bool | None


class _CountsOfBefore(Entry):
    client_sent: int = 0
    gateway_requests: int = 0
    gateway_attempts: int = 0
    gateway_retries: int = 0
    replica_requests: int = 0
    replicas: tuple[_ReplicaOfBefore, ...] | None = None
    problems: tuple[str, ...] = ()


class _MetricsOfBefore(Entry):
    step_s: float = 1.0
    series: dict[str, _SeriesOfBefore] = Field(default_factory=dict)
    alerts: tuple[_AlertOfBefore, ...] | None = None
    engine: dict[str, JsonValue] | None = None
    reconciliation: _CountsOfBefore | None = None


def _of_before(path: Path) -> Observed:
    try:
        # Not as bytes: a value that is no number stands there as NaN.
        found = _MetricsOfBefore.model_validate(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not the records of a run: {error}") from error
    counts = found.reconciliation
    alerts = found.alerts
    return Observed(
        series={name: _series(name, one) for name, one in found.series.items()},
        alerts=None
        if alerts is None
        else tuple(alert(one.name, one.severity, one.fired_s, one.resolved_s) for one in alerts),
        engine=found.engine,
        reconciliation=None if counts is None or counts.replicas is None else _counts(counts),
        cut_short=next(iter(_why_cut_short(() if counts is None else counts.problems)), None),
    )


def _series(name: str, one: _SeriesOfBefore) -> KeptSeries:
    named = {"panel": one.panel or name, "label": one.label or name, "note": one.note or one.query}
    return KeptSeries(**{**dict(one), **named})


def _counts(counts: _CountsOfBefore) -> Reconciliation:
    replicas = tuple(
        replica_counts(
            one.replica, one.gateway_attempts, one.replica_requests, agrees=one.agrees, gone=one.gone
        )
        for one in counts.replicas or ()
    )
    return Reconciliation.model_validate({**dict(counts), "replicas": replicas})


def _why_cut_short(problems: Iterable[str]) -> list[str]:
    return [text.removeprefix(_CUT_SHORT) for text in problems if text.startswith(_CUT_SHORT)]
