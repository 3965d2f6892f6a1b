"""The dashboards of one engine: each query over its series, as its profile names them.

A panel that the engine cannot fill is left out, and a note says why. Our own exporters tell whatever a query asks.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from dashboards.boards.panels import Dashboard, Limit, Note, Panel, Query, Row
from dashboards.boards.variables import Variable
from dashboards.engines import REFERENCE, REFERENCE_ENGINE, Engine, NoObjectiveError, UntoldError
from dashboards.queries.expression import Expression

_COLUMNS = 24


def for_engine(dashboard: Dashboard, engine: Engine) -> Dashboard | None:
    """The dashboard with every query over the engine's series; None when none of its panels is about the engine.

    Raises:
        UntoldError: our own exporters do not tell what a query asks.
    """
    missing: dict[str, list[str]] = {}
    variables = tuple(_variables(dashboard.variables, engine))
    if engine.runtime == REFERENCE_ENGINE:
        whole = tuple(Row(row.title, _flowing(_panels(row, engine, missing))) for row in dashboard.rows)
        if missing:
            whole = tuple(row for row in whole if row.panels)
            whole = (*whole, Row("What is not here", (_note(engine, missing),)))
        return replace(dashboard, rows=whole, variables=variables)
    rows = [Row(row.title, _flowing(_panels(row, engine, missing))) for row in dashboard.rows]
    kept = tuple(row for row in rows if row.panels)
    ours = {*_texts(dashboard, replace(REFERENCE, objectives=engine.objectives))}
    theirs = {
        query.expression.text
        for row in kept
        for panel in row.panels
        if isinstance(panel, Panel)
        for query in panel.queries
    }
    if theirs <= ours:
        return None
    if missing:
        kept = (*kept, Row("What is not here", (_note(engine, missing),)))
    return replace(
        dashboard,
        uid=f"{dashboard.uid}-{engine.runtime}",
        title=f"{dashboard.title}: {engine.runtime}",
        description=f"{dashboard.description} Of {engine.profile.title}, release {engine.profile.release}.",
        rows=kept,
        variables=variables,
    )


def _texts(dashboard: Dashboard, engine: Engine) -> Iterator[str]:
    """Every query over the engine's series, of those that its objectives have a place for."""
    for panel in dashboard.panels:
        for query in panel.queries:
            with suppress(NoObjectiveError):
                yield query.expression.over(engine).text


def _panels(row: Row, engine: Engine, missing: dict[str, list[str]]) -> Iterator[Panel | Note]:
    for panel in row.panels:
        if isinstance(panel, Note):
            yield panel
            continue
        fitted, reasons = fit(panel, engine)
        for reason in reasons:
            missing.setdefault(reason, []).append(panel.title)
        if fitted is not None:
            yield fitted


def fit(panel: Panel, engine: Engine) -> tuple[Panel | None, tuple[str, ...]]:
    """A panel over the engine's series and held to its objectives, and why it lacks what it lacks.

    None where the engine tells nothing of it.

    Raises:
        UntoldError: our own exporters do not tell what a query asks.
    """
    queries: list[Query] = []
    notes: list[str] = []
    reasons: list[str] = []
    for query in panel.queries:
        try:
            found = query.expression.over(engine)
        except UntoldError as untold:
            if engine.runtime == REFERENCE_ENGINE and not isinstance(untold, NoObjectiveError):
                raise
            if not isinstance(untold, NoObjectiveError) or untold.is_usual:
                reasons.append(str(untold))
        else:
            legend = query.legend
            for label in found.unlabelled:
                legend = legend.replace(f"{{{{{label}}}}}", "all")
            queries.append(Query(Expression((found.text,)), legend, query.colour))
            notes += found.notes
    limit = None if panel.limit is None else panel.limit.of(engine.objectives)
    if not queries:
        return None, tuple(dict.fromkeys(reasons))
    description = " ".join(dict.fromkeys([panel.description, *_said(limit, engine), *notes]))
    fitted = replace(panel, queries=tuple(queries), description=description, limit=limit)
    return fitted, tuple(dict.fromkeys(reasons))


def _said(limit: Limit | None, engine: Engine) -> Iterator[str]:
    """The objective behind a limit, in words."""
    if limit is not None and limit.objective:
        yield f"Objective: {engine.objective(limit.objective).sentence}."


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


def _variables(variables: Iterable[Variable], engine: Engine) -> Iterator[Variable]:
    """Those that the engine's series can fill."""
    for variable in variables:
        with suppress(UntoldError):
            yield replace(variable, query=Expression((variable.query.over(engine).text,)))
