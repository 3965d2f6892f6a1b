"""The dashboards for another engine: the same panels, each query over that engine's series, as its profile names them.

Queries are written once, over our own `ds_` families: the reference profile says which signal each family is, and the
other profile what tells that signal there. A panel that the engine cannot fill is left out, and a note says why.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dashboards.config import Variable
from dashboards.engines import DECLARED, REFERENCE, Engine, Source
from dashboards.panels import Dashboard, Note, Panel, Row, Target
from dashboards.recording_rules import added, le_matcher, normalised, quoted, selected
from exporters.profiles.signals import SIGNALS
from exporters.series.groups import GROUPS

_OF_REPLICAS = frozenset(
    family.name for group in ("Inference server", "GPU", "Collectors") for family in GROUPS[group]
)
"""What another engine has under other names, or not at all; the rest runs beside it and keeps its own."""
_SIGNALS = {source.name: name for name in SIGNALS for source in REFERENCE.of(name)}
_SELECTED = re.compile(
    r"(?P<how>rate|delta|resets|increase)\((?P<rated>ds_\w+)(?:\{(?P<of_rated>[^}]*)\})?\[(?P<window>[^\]]+)\]\)"
    r"|(?P<now>ds_\w+)(?:\{(?P<of_now>[^}]*)\})?"
)
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"')
_GROUPED = re.compile(r"\bby \(([^)]*)\)")
_EVERY_ENGINE = frozenset({"job", "pod"})
_COLUMNS = 24


class UntoldError(Exception):
    """The engine does not tell what a query asks; the message says why."""


@dataclass(frozen=True, slots=True)
class Translated:
    """A query over another engine's series."""

    expression: str
    notes: tuple[str, ...] = ()
    """Where it does not ask quite the same."""
    unlabelled: frozenset[str] = frozenset()
    """Labels that it groups by and that no series has there."""


def for_engine(dashboard: Dashboard, engine: Engine) -> Dashboard | None:
    """The dashboard over the engine's series; None when none of its panels would be about the engine."""
    if engine == REFERENCE:
        return dashboard
    missing: dict[str, list[str]] = {}
    rows = [Row(row.title, _flowing(_panels(row, engine, missing))) for row in dashboard.rows]
    kept = tuple(row for row in rows if row.panels)
    asked = {target.expression for panel in dashboard.panels for target in panel.targets}
    asks = {
        target.expression for row in kept for p in row.panels if isinstance(p, Panel) for target in p.targets
    }
    if asks <= asked:
        return None
    if missing:
        kept = (*kept, Row("What is not here", (_note(engine, missing),)))
    return replace(
        dashboard,
        uid=f"{dashboard.uid}-{engine.runtime}",
        title=f"{dashboard.title}: {engine.runtime}",
        description=f"{dashboard.description} Of {engine.profile.title}, release {engine.profile.release}.",
        rows=kept,
        variables=tuple(_variable(variable, engine) for variable in dashboard.variables),
    )


def translated(expression: str, engine: Engine) -> Translated:
    """One query over the engine's series.

    Raises:
        UntoldError: the engine does not tell what it asks.
    """
    if engine == REFERENCE:
        return Translated(expression)
    grouped = frozenset(re.findall(r"\w+", " ".join(_GROUPED.findall(expression))))
    notes: list[str] = []
    unlabelled: set[str] = set()

    def replaced(found: re.Match[str]) -> str:
        name, window = found["rated"] or found["now"], found["window"] or ""
        matchers = _MATCHER.findall(found["of_rated"] or found["of_now"] or "")
        family, part = _family(name)
        if family not in _OF_REPLICAS:
            return found.group()
        parts = []
        labelled = {"pod", "le"}
        for source in _sources(engine, family):
            labelled |= {*source.labels, *source.series.fixed}
            given = _matchers(source, matchers, notes)
            if given is not None:
                parts.append(normalised(_narrowed(source, grouped), part, window, given, found["how"]))
        if not parts:
            said = ", ".join(
                f"{label}{operator}{value}" for label, operator, value in matchers if "$" not in value
            )
            raise UntoldError(f"{_SIGNALS[family]} has no {said} there")
        unlabelled.update(grouped - labelled)
        return added(parts)

    asked = _SELECTED.sub(replaced, expression)
    return Translated(asked, tuple(dict.fromkeys(notes)), frozenset(unlabelled))


def _panels(row: Row, engine: Engine, missing: dict[str, list[str]]) -> Iterator[Panel | Note]:
    for panel in row.panels:
        if isinstance(panel, Note):
            yield panel
            continue
        targets: list[Target] = []
        notes: list[str] = []
        reasons: list[str] = []
        for target in panel.targets:
            try:
                found = translated(target.expression, engine)
            except UntoldError as untold:
                reasons.append(str(untold))
            else:
                legend = target.legend
                for label in found.unlabelled:
                    legend = legend.replace(f"{{{{{label}}}}}", "all")
                targets.append(Target(found.expression, legend, target.colour))
                notes += found.notes
        for reason in dict.fromkeys(reasons):
            missing.setdefault(reason, []).append(panel.title)
        if targets:
            description = " ".join(dict.fromkeys([panel.description, *notes]))
            yield replace(panel, targets=tuple(targets), description=description)


def _flowing(panels: Iterator[Panel | Note]) -> tuple[Panel | Note, ...]:
    """The panels of a row without holes where others were: the last one of each line is widened."""
    placed: list[Panel | Note] = []
    used = 0
    for panel in panels:
        if used + panel.width > _COLUMNS:
            placed[-1] = replace(placed[-1], width=placed[-1].width + _COLUMNS - used)
            used = 0
        placed.append(panel)
        used = (used + panel.width) % _COLUMNS
    if used:
        placed[-1] = replace(placed[-1], width=placed[-1].width + _COLUMNS - used)
    return tuple(placed)


def _note(engine: Engine, missing: dict[str, list[str]]) -> Note:
    lines = [f"- **{', '.join(dict.fromkeys(panels))}**: {reason}" for reason, panels in missing.items()]
    return Note(
        f"What {engine.profile.title} does not tell",
        "Panels, or lines of them, that this engine cannot fill.",
        "\n".join(lines),
        height=2 + len(lines),
    )


def _variable(variable: Variable, engine: Engine) -> Variable:
    """Choices out of the first signal that the engine tells."""
    first = engine.of(engine.signals[0])[0]
    part = "_count" if first.kind == "histogram" else ""

    def replaced(found: re.Match[str]) -> str:
        given = (found["of_now"],) if found["of_now"] else ()
        return selected(first, part, given) if found["now"] in _OF_REPLICAS else found.group()

    return replace(variable, query=_SELECTED.sub(replaced, variable.query))


def _family(name: str) -> tuple[str, str]:
    """The declared family of a series, and which part of it."""
    for part in ("_bucket", "_count", "_sum"):
        if name.endswith(part) and name.removesuffix(part) in DECLARED:
            return name.removesuffix(part), part
    return name, ""


def _sources(engine: Engine, family: str) -> tuple[Source, ...]:
    signal = _SIGNALS.get(family)
    if signal is None:
        raise UntoldError(f"{family} is our own exporters' alone")
    sources = engine.of(signal)
    if not sources:
        raise UntoldError(engine.untold()[signal])
    if any(source.kind == "histogram" and source.series.unit_factor != 1 for source in sources):
        raise UntoldError(f"{sources[0].name} is in another unit: PromQL cannot multiply `le`")
    return sources


def _narrowed(source: Source, grouped: frozenset[str]) -> Source:
    """Without labels that the query does not group by: a panel's query is to be read."""
    series = source.series
    fixed = {label: value for label, value in series.fixed.items() if label in grouped}
    return replace(
        source,
        labels={label: own for label, own in source.labels.items() if label in grouped},
        series=series.model_copy(update={"fixed": fixed}),
    )


def _matchers(source: Source, matchers: Sequence[tuple[str, str, str]], notes: list[str]) -> list[str] | None:
    """The matchers in the engine's labels and values; None when no sample of the source can match."""
    given = []
    for label, operator, value in matchers:
        if label == "le":
            given.append(_le(source, value, notes))
        elif label in _EVERY_ENGINE:
            given.append(f'{label}{operator}"{value}"')
        elif label in source.series.fixed or label not in source.labels:
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


def _le(source: Source, value: str, notes: list[str]) -> str:
    bound = float(value.partition("|")[0])
    if not source.edges:
        raise UntoldError(f"the bucket edges of {source.name} are not published: no share within a bound")
    nearest = min(source.edges, key=lambda edge: (round(abs(edge - bound), 9), edge))
    if nearest != bound:
        notes.append(f"Here within {nearest:g} s: {bound:g} s is no bucket edge of {source.name}.")
    return le_matcher(nearest)


def _holds(operator: str, wanted: str, value: str) -> bool:
    matches = re.fullmatch(wanted, value) is not None if operator.endswith("~") else wanted == value
    return matches != operator.startswith("!")
