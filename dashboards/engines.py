"""One engine as rules and panels see it: the families that tell each signal, read off its profile, or why none does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboards.sources import Source
from exporters import slo
from exporters.profiles.library import profile, profiles
from exporters.profiles.profile import Profile, Series
from exporters.profiles.signals import OF_DEVICES, SIGNALS
from exporters.series import collectors, comm, gateway, gpu, groups, probe, server
from exporters.series.engine import FAMILIES as ENGINE_FAMILIES
from exporters.series.family import Family, with_bound
from exporters.series.jobs import GATEWAY_JOB, REPLICA_JOB
from exporters.slo import Objective

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
_OF_REPLICAS = frozenset(
    family.name for family in (*server.FAMILIES, *ENGINE_FAMILIES, *gpu.FAMILIES, *collectors.FAMILIES)
)
"""What another engine has under other names, or not at all; the rest runs beside it and keeps its own."""


class UntoldError(Exception):
    """The engine does not tell what a query asks; the message says why."""


class NoObjectiveError(UntoldError):
    """A query asks for what is within an objective, and whoever wrote the objectives left that one out."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no objective `{name}`")
        self.is_usual = slo.named(slo.OBJECTIVES, name) is not None
        """Whether it is held where nobody says otherwise, so that its absence is to be said."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A profile, and where its replicas are scraped."""

    profile: Profile
    job: str
    """The scrape job of its replicas."""
    gateway_job: str = GATEWAY_JOB
    objectives: Sequence[Objective] = slo.OBJECTIVES
    """What panels and rules hold it to; our own exporters have these bounds among their bucket edges."""

    @property
    def runtime(self) -> str:
        """The value of the label `runtime`."""
        return self.profile.engine

    @property
    def signals(self) -> tuple[str, ...]:
        """Every signal that it or what runs beside it tells."""
        return tuple(name for name in (*SIGNALS, *_BESIDE, *_MOUNTED) if self.of(name))

    def objective(self, name: str) -> Objective:
        """One objective.

        Raises:
            NoObjectiveError: it is held to none of that name.
        """
        found = slo.named(self.objectives, name)
        if found is None:
            raise NoObjectiveError(name)
        return found

    def of(self, signal: str) -> tuple[Source, ...]:
        """Where the signal comes from; nothing when this engine does not tell it."""
        beside = self._beside().get(signal)
        if beside is not None:
            return (self._declared(signal, beside),)
        found = (self._source(signal, series) for series in self.profile.signals.get(signal, ()))
        return tuple(source for source in found if isinstance(source, Source))

    def sources(self, subject: str | Family) -> tuple[Source, ...]:
        """Where a query finds a signal, or one of our own families that is none.

        Raises:
            UntoldError: the engine does not tell it, or in a unit that a query cannot use.
        """
        if isinstance(subject, Family):
            if self.runtime != REFERENCE_ENGINE and subject.name in _OF_REPLICAS:
                raise UntoldError(f"{subject.name} is our own exporters' alone")
            return (self._declared(subject.name, subject),)
        sources = self.of(subject)
        if not sources:
            raise UntoldError(self.untold()[subject])
        if any(source.kind == "histogram" and source.series.unit_factor != 1 for source in sources):
            raise UntoldError(f"{sources[0].name} is in another unit: PromQL cannot multiply `le`")
        return sources

    def untold(self) -> Mapping[str, str]:
        """Why a signal, or a part of it, is not there: by signal, of those of the schema."""
        reasons = {name: reason for name in SIGNALS if (reason := self.profile.reason(name))}
        for signal, parts in self.profile.signals.items():
            said = [found for part in parts if isinstance(found := self._source(signal, part), str)]
            if said:
                reasons[signal] = "; ".join(said)
        return reasons

    def _beside(self) -> Mapping[str, Family]:
        if self.profile.reason("request"):
            return {}  # a GPU exporter: no gateway sends it requests
        return {**_BESIDE, **_MOUNTED} if self.runtime == REFERENCE_ENGINE else _BESIDE

    def _declared(self, signal: str, family: Family) -> Source:
        labels = {label: label for label in family.labels}
        series = Series(name=family.name, type=family.kind)
        return Source(signal, family.name, family.kind, series, labels, self._edges(family))

    def _source(self, signal: str, series: Series) -> Source | str:
        """The source, or why rules cannot use it."""
        kind, name = series.kind, self.profile.expression(series)
        wanted = SIGNALS[signal].kind
        if kind != wanted:
            return f"{name} is a {kind}, the signal a {wanted}" + (
                f" ({series.limit})" if series.limit else ""
            )
        edges = series.edges or (self._edges(DECLARED[name]) if name in DECLARED else ())
        if wanted == "histogram" and series.unit_factor != 1 and not edges:
            return f"{name} is in another unit: PromQL cannot multiply `le`, and its bucket edges are not published"
        left_out = {_RANKS, "model"} if signal in OF_DEVICES else {_RANKS}
        labels = {
            label: own for label, own in self.profile.labels_of(series).items() if label not in left_out
        }
        if series.sample:
            name = f"{name}_{series.sample}"
        return Source(signal, name, wanted, series, labels, edges)

    def _edges(self, family: Family) -> tuple[float, ...]:
        return with_bound(family, self.objectives).buckets


def engine_of(known: Profile, objectives: Sequence[Objective] = slo.OBJECTIVES) -> Engine:
    """The engine of a profile, its replicas in a scrape job of its name."""
    return Engine(known, _JOBS.get(known.engine, known.engine), objectives=objectives)


def engines(objectives: Sequence[Objective] = slo.OBJECTIVES) -> tuple[Engine, ...]:
    """Every engine that there is a profile of, all held to the same objectives."""
    return tuple(engine_of(known, objectives) for known in profiles())


REFERENCE = engine_of(profile(REFERENCE_ENGINE))
"""The reference server, and whatever mounts these exporters."""


def presence(engine: Engine) -> str:
    """How many series of the chosen replicas are of this engine; absent where none is."""
    return f'count ({{__name__=~"{engine.profile.detect}",job=~"$job"}})'
