"""One engine as rules and panels see it: the families that tell each signal, read off its profile, or why none does."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from exporters import slo
from exporters.profiles.library import profile, profiles
from exporters.profiles.profile import Profile, Series
from exporters.profiles.signals import SIGNALS
from exporters.series import collectors, comm, gateway, gpu, groups, probe
from exporters.series.family import Family
from exporters.series.jobs import GATEWAY_JOB, REPLICA_JOB
from exporters.slo import Objective

Kind = Literal["counter", "gauge", "histogram"]
DECLARED = {family.name: family for families in groups.GROUPS.values() for family in families}
"""Our own families by name."""

_BESIDE: Mapping[str, Family] = {
    "gateway_request": gateway.GATEWAY_REQUESTS,
    "gateway_retries": gateway.GATEWAY_RETRIES,
    "gateway_seconds": gateway.GATEWAY_REQUEST_SECONDS,
    "replicas_ready": gateway.GATEWAY_READY,
    "comm_failures": comm.COMM_FAILURES,
    "probe_success": probe.PROBE_SUCCESS,
}
"""Signals of what runs beside the replicas of any engine."""
_MOUNTED: Mapping[str, Family] = {
    "gpu_up": gpu.GPU_UP,
    "collector_success": collectors.COLLECTOR_SUCCESS,
}
"""Signals of a process that mounts these exporters."""
REFERENCE_ENGINE = "reference"
_JOBS = {REFERENCE_ENGINE: REPLICA_JOB}
_RANKS = "dp_rank"
"""Ranks of one replica are one to rules and panels."""


@dataclass(frozen=True, slots=True)
class Source:
    """One family that is a signal, or a part of one."""

    signal: str
    name: str
    """As exported, or a regular expression where releases spell it differently: `vllm[:_]x`."""
    kind: Kind
    series: Series
    labels: Mapping[str, str]
    """The schema's label to the exported one: `{"model": "model_name"}`."""
    edges: tuple[float, ...] = ()
    """Bucket edges in the exported unit; none where they are not known."""

    @property
    def edges_s(self) -> tuple[float, ...]:
        """Bucket edges after conversion."""
        return tuple(float(f"{edge * self.series.unit_factor:.17g}") for edge in self.edges)


@dataclass(frozen=True, slots=True)
class Engine:
    """A profile, and where its replicas are scraped."""

    profile: Profile
    job: str
    """The scrape job of its replicas."""
    gateway_job: str = GATEWAY_JOB
    objectives: Sequence[Objective] = slo.OBJECTIVES

    @property
    def runtime(self) -> str:
        """The value of the label `runtime`."""
        return self.profile.engine

    @property
    def signals(self) -> tuple[str, ...]:
        """Every signal that it or what runs beside it tells."""
        return tuple(name for name in (*SIGNALS, *_BESIDE, *_MOUNTED) if self.of(name))

    def of(self, signal: str) -> tuple[Source, ...]:
        """Where the signal comes from; nothing when this engine does not tell it."""
        beside = self._beside().get(signal)
        if beside is not None:
            return (_declared(signal, beside),)
        found = (_source(self.profile, signal, series) for series in self.profile.signals.get(signal, ()))
        return tuple(source for source in found if isinstance(source, Source))

    def untold(self) -> Mapping[str, str]:
        """Why a signal, or a part of it, is not there: by signal, of those of the schema."""
        reasons = {name: reason for name in SIGNALS if (reason := self.profile.reason(name))}
        for signal, parts in self.profile.signals.items():
            said = [found for part in parts if isinstance(found := _source(self.profile, signal, part), str)]
            if said:
                reasons[signal] = "; ".join(said)
        return reasons

    def _beside(self) -> Mapping[str, Family]:
        if self.profile.reason("request"):
            return {}  # a GPU exporter: no gateway sends it requests
        return {**_BESIDE, **_MOUNTED} if self.runtime == REFERENCE_ENGINE else _BESIDE


def engine_of(known: Profile) -> Engine:
    """The engine of a profile, its replicas in a scrape job of its name."""
    return Engine(known, _JOBS.get(known.engine, known.engine))


def engines() -> tuple[Engine, ...]:
    """Every engine that there is a profile of."""
    return tuple(map(engine_of, profiles()))


REFERENCE = engine_of(profile(REFERENCE_ENGINE))
"""The reference server, and whatever mounts these exporters."""


def presence(engine: Engine) -> str:
    """How many series of the chosen replicas are of this engine; absent where none is."""
    return f'count ({{__name__=~"{engine.profile.detect}",job=~"$job"}})'


def _declared(signal: str, family: Family) -> Source:
    labels = {label: label for label in family.labels}
    return Source(
        signal, family.name, family.kind, Series(name=family.name, type=family.kind), labels, family.buckets
    )


def _source(known: Profile, signal: str, series: Series) -> Source | str:
    """The source, or why rules cannot use it."""
    kind, name = series.kind, known.expression(series)
    wanted = SIGNALS[signal].kind
    if kind != wanted:
        return f"{name} is a {kind}, the signal a {wanted}" + (f" ({series.limit})" if series.limit else "")
    edges = series.edges or (DECLARED[name].buckets if name in DECLARED else ())
    if wanted == "histogram" and series.unit_factor != 1 and not edges:
        return (
            f"{name} is in another unit: PromQL cannot multiply `le`, and its bucket edges are not published"
        )
    labels = {label: own for label, own in known.labels_of(series).items() if label != _RANKS}
    if series.sample:
        name = f"{name}_{series.sample}"
    return Source(signal, name, wanted, series, labels, edges)


def is_plain(name: str) -> bool:
    """Whether it is one name and no expression."""
    return re.fullmatch(r"[a-zA-Z_:][\w:]*", name) is not None
