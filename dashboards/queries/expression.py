"""A query as text with holes: each hole names a signal, and an engine fills it with the series that tell it there.

So a query is written once, for every engine. What it asks of one engine is found out by `Expression.over`: the
PromQL, and what must be said beside the answer because that engine does not tell quite the same.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from string import Formatter
from typing import NamedTuple, TypeAlias

from dashboards.config import MODEL, REPLICAS, SHOWN, WINDOW
from dashboards.engines import REFERENCE, Engine, UntoldError
from dashboards.objectives import bound_s, budget
from dashboards.sources import Source, added, le_matcher, normalised, quoted, selected
from exporters.profiles.signals import SIGNALS, Signal
from exporters.series.family import Family


class Matcher(NamedTuple):
    """What a label must be, in the schema's words: `outcome`, `!=`, `ok`."""

    label: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class EngineQuery:
    """A query over one engine's series."""

    text: str
    notes: tuple[str, ...] = ()
    """Where it does not ask quite the same."""
    unlabelled: frozenset[str] = frozenset()
    """Labels that it groups by and that no series has there."""


@dataclass(frozen=True, slots=True)
class Samples:
    """A hole for the series of a signal, or of one of our own families that is no signal.

    ValueError when there is no such signal, or a bound is no bucket edge of ours.
    """

    subject: str | Family
    scope: str = ""
    """Matchers of labels that are the same for every engine: those that the dashboard's variables choose by."""
    matchers: tuple[Matcher, ...] = ()
    by: tuple[str, ...] = ()
    """The labels that the query groups by: the others need not be there."""
    part: str = ""
    """Of a histogram: `_bucket`, `_count` or `_sum`."""
    bound_s: float | None = None
    """Of buckets: the upper edge."""
    objective: str = ""
    """Of buckets: the objective whose bound is the upper edge, as whoever holds the engine to it has it."""
    function: str = ""
    """Of the samples in a window, such as `rate`; empty: the samples of now."""

    def __post_init__(self) -> None:
        if isinstance(self.subject, str) and self.subject not in SIGNALS:
            raise ValueError(f"there is no signal {self.subject}, expected one of {', '.join(SIGNALS)}")
        if self.bound_s is not None and self.bound_s not in _edges(self.subject):
            raise ValueError(
                f"{self.bound_s:g} is no bucket edge of {self.declaration.name}: {_edges(self.subject)}"
            )

    @property
    def declaration(self) -> Signal | Family:
        """Name, kind, unit and labels of the whole: the parts of a histogram are counters."""
        return SIGNALS[self.subject] if isinstance(self.subject, str) else self.subject

    def over(self, engine: Engine) -> EngineQuery:
        """The series of the engine.

        Raises:
            UntoldError: it does not tell them.
        """
        parts: list[str] = []
        notes: list[str] = []
        labelled = {"pod", "le"}
        upper_s = bound_s(engine.objective(self.objective)) if self.objective else self.bound_s
        for source in engine.sources(self.subject):
            labelled |= {*source.labels, *source.series.fixed}
            matchers = _in_engine_words(self.matchers, source)
            if matchers is None:
                continue
            edge, said = _edge(source, upper_s)
            notes += said
            given = ",".join(filter(None, (self.scope, *self._of_model(source), *matchers, edge)))
            window = WINDOW if self.function else ""
            narrowed = _narrowed(source, self.by)
            parts.append(
                normalised(narrowed, self.part, window, (given,) if given else (), self.function or "rate")
            )
        if not parts:
            said = [f"{label}{operator}{value}" for label, operator, value in self.matchers]
            raise UntoldError(f"{self.declaration.name} has no {', '.join(said)} there")
        return EngineQuery(added(parts), tuple(dict.fromkeys(notes)), frozenset(self.by) - labelled)

    def _of_model(self, source: Source) -> Iterator[str]:
        """Of replicas' series that say which model they are about: those of the chosen one."""
        if self.scope == REPLICAS and "model" in source.labels:
            yield f'{source.labels["model"]}=~"{MODEL}"'


@dataclass(frozen=True, slots=True)
class ModelNames:
    """A hole for a selector of replicas' series that say which model they are about, and the label they say it in."""

    scope: str = ""

    def over(self, engine: Engine) -> EngineQuery:
        """Both, with a comma between.

        Raises:
            UntoldError: the engine's series do not name a model.
        """
        for source in (found for signal in engine.profile.signals for found in engine.of(signal)):
            if "model" in source.labels:
                part = "_count" if source.kind == "histogram" else ""
                return EngineQuery(f"{selected(source, part, (self.scope,))}, {source.labels['model']}")
        raise UntoldError(f"the series of {engine.profile.title} name no model")


@dataclass(frozen=True, slots=True)
class AnySeries:
    """A hole for some series of the replicas, whose labels are what can be chosen: the first signal that is told."""

    scope: str = ""

    def over(self, engine: Engine) -> EngineQuery:
        """A selector of it."""
        first = engine.of(engine.signals[0])[0]
        part = "_count" if first.kind == "histogram" else ""
        return EngineQuery(selected(first, part, (self.scope,) if self.scope else ()))


@dataclass(frozen=True, slots=True)
class Budget:
    """A hole for an objective's error budget: the share that may be bad."""

    objective: str

    def over(self, engine: Engine) -> EngineQuery:
        """The number.

        Raises:
            NoObjectiveError: the engine is held to no such objective.
        """
        return EngineQuery(f"{budget(engine.objective(self.objective)):g}")


@dataclass(frozen=True, slots=True)
class Shown:
    """A hole for an expression over all the time that the dashboard shows, in place of a moving window."""

    expression: "Expression"

    def over(self, engine: Engine) -> EngineQuery:
        """The same with another window.

        Raises:
            UntoldError: the engine does not tell what it asks.
        """
        found = self.expression.over(engine)
        return replace(found, text=found.text.replace(WINDOW, SHOWN))


Hole: TypeAlias = Samples | AnySeries | ModelNames | Budget | Shown


@dataclass(frozen=True, slots=True)
class Expression:
    """PromQL with holes."""

    parts: tuple[str | Hole, ...]

    @property
    def text(self) -> str:
        """The PromQL of an expression without holes; ValueError where it has one."""
        if not all(isinstance(part, str) for part in self.parts):
            raise ValueError(f"what {self} asks depends on the engine")
        return "".join(map(str, self.parts))

    def over(self, engine: Engine) -> EngineQuery:
        """What it asks of this engine.

        Raises:
            UntoldError: the engine does not tell it.
        """
        filled = [EngineQuery(part) if isinstance(part, str) else part.over(engine) for part in self.parts]
        return EngineQuery(
            "".join(each.text for each in filled),
            tuple(dict.fromkeys(note for each in filled for note in each.notes)),
            frozenset().union(*(each.unlabelled for each in filled)),
        )


def promql(template: str, **inserted: Expression | Hole) -> Expression:
    """The template, as `str.format` reads it, with an expression or a hole in place of each name."""
    return Expression(tuple(_parts(template, inserted)))


def _parts(template: str, inserted: dict[str, Expression | Hole]) -> Iterator[str | Hole]:
    for text, name, _, _ in Formatter().parse(template):
        if text:
            yield text
        if name is not None:
            given = inserted[name]
            yield from given.parts if isinstance(given, Expression) else (given,)


def _edges(subject: str | Family) -> tuple[float, ...]:
    """Of our own buckets."""
    return subject.buckets if isinstance(subject, Family) else REFERENCE.of(subject)[0].edges


def _narrowed(source: Source, grouped: tuple[str, ...]) -> Source:
    """Without labels that the query does not group by: a panel's query is to be read."""
    series = source.series
    fixed = {label: value for label, value in series.fixed.items() if label in grouped}
    return replace(
        source,
        labels={label: own for label, own in source.labels.items() if label in grouped},
        series=series.model_copy(update={"fixed": fixed}),
    )


def _in_engine_words(matchers: tuple[Matcher, ...], source: Source) -> list[str] | None:
    """The matchers in the engine's labels and values; None when no sample of the source can match."""
    given: list[str] = []
    for label, operator, value in matchers:
        if label in source.series.fixed or label not in source.labels:
            # Engines that do not tell outcomes record completed requests alone.
            fixed = source.series.fixed.get(label, "ok" if label == "outcome" else "")
            if not _holds(operator, value, fixed):
                return None
        elif label in source.series.values:
            given += _folded(source, label, operator, value)
        else:
            given.append(f'{source.labels[label]}{operator}"{value}"')
    return given


def _folded(source: Source, label: str, operator: str, value: str) -> list[str]:
    """Matchers of the engine's values that become such a value: the first expression that matches one counts."""
    own, folds = source.labels[label], list(source.series.values[label].items())
    wanted = [_holds(operator, value, becomes) for _, becomes in folds]
    last = len(wanted) - 1 - wanted[::-1].index(True) if any(wanted) else -1
    taken = [pattern for (pattern, _), holds in zip(folds, wanted, strict=True) if holds]
    before = [pattern for (pattern, _), holds in zip(folds[: last + 1], wanted, strict=False) if not holds]
    excluded = [f'{own}!~"{quoted("|".join(before))}"'] if before else []
    return [f'{own}=~"{quoted("|".join(taken))}"', *excluded]


def _edge(source: Source, bound_s: float | None) -> tuple[str, list[str]]:
    """The matcher of the bucket whose edge is nearest to the bound, and what is to be said where it is another one."""
    if bound_s is None:
        return "", []
    if not source.edges:
        raise UntoldError(f"the bucket edges of {source.name} are not published: no share within a bound")
    nearest = min(source.edges, key=lambda edge: (round(abs(edge - bound_s), 9), edge))
    said = [f"Here within {nearest:g} s: {bound_s:g} s is no bucket edge of {source.name}."]
    return le_matcher(nearest), said if nearest != bound_s else []


def _holds(operator: str, wanted: str, value: str) -> bool:
    matches = re.fullmatch(wanted, value) is not None if operator.endswith("~") else wanted == value
    return matches != operator.startswith("!")
