"""What a term is: how it is written, what it measures, and the function that measures it in the records of a run."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from chaos.assertions.asked import Expressions, cache_hits, queue_buckets
from chaos.measuring.cache_recovery import Points
from chaos.measuring.measurements import Measurements
from chaos.measuring.queue_time import Buckets
from chaos.measuring.slis import METRICS
from chaos.record.cluster import Alert

PHASES = ("baseline", "fault", "recovery", "all")
RELATIVE = ("after", "after_end")
"""Words that begin a stretch of the run counted from the first fault's start, or the last one's end."""
LABELS = ("profile", "tenant")
"""What a claim may be narrowed to, in the order of the canonical spelling."""
QUANTILE = re.compile(r"p([1-9][0-9]?(?:\.[0-9]{1,2})?)")


class Dimension(StrEnum):
    """What a term measures, hence which bounds it takes."""

    DURATION = "duration"
    RATIO = "ratio"
    COUNT = "count"
    RATE = "rate"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Argument:
    """What an argument is called in a complaint, and what it may be; without choices it is a text in quotes."""

    meaning: str
    choices: tuple[str, ...] = ()


PHASE = Argument("a phase", PHASES)
METRIC = Argument("a metric", METRICS)
QUEUE = "queue"
"""The metric that no row knows: the server's own."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A value with its interval, or none; without an interval it decides nothing."""

    value: float | None
    interval: tuple[float, float] | None = None
    n: int | None = None
    reason: str | None = None
    """Why there is no value, or why its interval is as wide as it is."""


def exactly(value: float, n: int | None = None) -> Observed:
    """What was counted is a fact about this run, and no estimate."""
    return Observed(value, (value, value), n)


@dataclass(frozen=True, slots=True)
class Recorded:
    """All that a term may look at."""

    measurements: Measurements
    alerts: Sequence[Alert] | None = None
    """Those that fired in the run; None where Prometheus was not asked."""
    promql: Expressions | None = None
    """What the expressions of assertions came to; None where Prometheus was not asked."""

    @property
    def queue(self) -> Buckets | None:
        """The histogram of the time in the queue; None where the run kept none."""
        return queue_buckets(self.promql)

    @property
    def cache_hits(self) -> Points | None:
        """The hit ratio of prefix caches over the run; None where the run kept none."""
        return cache_hits(self.promql)


@dataclass(frozen=True, slots=True)
class Kind:
    """One declaration of a term: everything that reading, checking and judging it take."""

    dimension: Dimension
    observe: "Callable[[Term, Recorded], Observed]"
    arguments: tuple[Argument, ...] = ()
    of_replicas: bool = False
    """Whether it needs replicas that can be seen."""
    of_prometheus: bool = False
    """Whether it needs a target with a Prometheus."""
    of_requests: bool = False
    """Whether it is about the requests of a phase, and may be narrowed to those of a profile or a tenant."""
    of_canaries: bool = False
    """Whether it needs canaries among the requests."""
    machine_proof: bool = False
    """Whether no machine, however full, can change it."""


@dataclass(frozen=True, slots=True)
class Relative:
    """A stretch of the run, [from_s, to_s) after the first fault began, or after the last one ended."""

    origin: str
    """A word of `RELATIVE`."""
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class Only:
    """The part of the traffic that a claim is about: what is None is not asked for."""

    profile: str | None = None
    tenant: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """As it is written: `profile=chat`."""
        return tuple(f"{label}={value}" for label in LABELS if (value := getattr(self, label)) is not None)


EVERYBODY = Only()


@dataclass(frozen=True, slots=True)
class Term:
    """What is measured: a name of `TERMS` or a quantile such as `p99.9`, and its arguments."""

    name: str
    kind: Kind = field(repr=False)
    arguments: tuple[str, ...] = ()
    stretch: Relative | None = None
    """What the last argument means where it is no phase but a stretch relative to a fault."""
    only: Only = EVERYBODY

    @property
    def percent(self) -> float | None:
        """99.9 for `p99.9`; None when the term is no quantile."""
        match = QUANTILE.fullmatch(self.name)
        return float(match[1]) if match else None

    @property
    def of_server(self) -> bool:
        """Whether it is measured by the server's own series, and not by the records of requests."""
        return QUEUE in self.arguments

    @property
    def of_requests(self) -> bool:
        """Whether it is about the requests of a phase."""
        return self.kind.of_requests and not self.of_server

    @property
    def promql(self) -> str | None:
        """The expression that is to be asked of Prometheus; None where the term asks none."""
        asks = self.kind.arguments[:1] and not self.kind.arguments[0].choices
        return self.arguments[0][1:-1] if asks else None

    @property
    def needs_prometheus(self) -> bool:
        """Whether it cannot be had without one."""
        return self.kind.of_prometheus or self.of_server

    @property
    def dimension(self) -> Dimension:
        """What it measures."""
        return self.kind.dimension

    def __str__(self) -> str:
        words = (*self.arguments, *self.only.words)
        return f"{self.name}({', '.join(words)})" if words else self.name
