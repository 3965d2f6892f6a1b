"""From our panels to Grafana's Classic JSON: the one module that knows grafana-foundation-sdk and its gaps.

The SDK (exactly 0.0.21: other version numbers of it are builders for an old Grafana) sets no panel ids and no
refIds, hides legends, and leaves noise behind; every one of these is dealt with here. Classic JSON, because
Grafana's file provisioning refuses the newer schema.
"""

import json
import warnings
from itertools import count
from string import ascii_uppercase
from typing import Any, TypeAlias

with warnings.catch_warnings():
    # The SDK would rather have everybody use the v2 schema, which file provisioning refuses.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import (
        bargauge,
        common,
        dashboard,
        prometheus,
        stat,
        text,
        timeseries,
    )
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards.boards.panels import Dashboard, Limit, Note, Panel, Query, Row
from dashboards.boards.variables import Variable
from dashboards.config import DATASOURCE, SCRAPE_INTERVAL, TAG
from dashboards.engines import REFERENCE
from dashboards.queries.faults import fault_windows

Builder: TypeAlias = timeseries.Panel | stat.Panel | bargauge.Panel

_SOURCE = common_model.DataSourceRef(type_val="prometheus", uid=f"${{{DATASOURCE}}}")
_GOOD, _BAD, _FAULT = "green", "red", "orange"
_OUTCOMES = {
    "ok": _GOOD,
    **dict.fromkeys(("error", "http_5xx"), _BAD),
    **dict.fromkeys(("timeout", "truncated"), "orange"),
    **dict.fromkeys(("rejected", "http_4xx"), "yellow"),
    **dict.fromkeys(("aborted", "client_gone"), "purple"),
    **dict.fromkeys(("unreachable",), "dark-red"),
    **dict.fromkeys(("no_replica",), "dark-orange"),
}
"""Colours of outcomes: from Grafana's palette, by order, `ok` came out red."""
_VERDICTS = {"passed": _GOOD, "deviated": _BAD, "inconclusive": "yellow"}
_AXIS_PX, _LEGEND_PX = 72, 384
_ENDLESS_S = 1e9
"""Longer than any run: what only +Inf is beyond."""
_WIDE = 12
"""Columns from which on there is room for a legend beside the chart."""
_MEANT = {"{{outcome}}": _OUTCOMES, "{{verdict}}": _VERDICTS}
"""By the legend that names them."""
_SOFT_MAXIMUM = {"percentunit": 0.05, "reqps": 1, "short": 1, "suffix:x": 1}
"""Where an axis ends at least: Grafana draws nothing but zeros from 0 to 100, and a share up to 10000 %."""
_DECIMALS = {"suffix:x": 2}
"""Elsewhere Grafana chooses: of a factor that is 0 but for the rounding of floats it shows that rounding, 2e-14."""


def render(definition: Dashboard) -> str:
    """The dashboard as Classic JSON, the same bytes for the same definition."""
    builder = (
        dashboard.Dashboard(definition.title)
        .uid(definition.uid)
        .description(definition.description)
        .tags([TAG])
        .readonly()
        .time("now-15m", "now")
        .refresh("5s")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(_links())
        .with_variable(dashboard.DatasourceVariable(DATASOURCE).label("Prometheus").type("prometheus"))
        .annotation(_annotation())
    )
    for variable in definition.variables:
        builder.with_variable(_variable(variable))
    ids = count(1)
    for row in definition.rows:
        _add(builder, row, ids)
    plain: dict[str, Any] = json.loads(json.dumps(builder.build(), cls=JSONEncoder))
    return json.dumps(_cleaned(plain), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _add(builder: dashboard.Dashboard, row: Row, ids: "count[int]") -> None:
    builder.with_row(dashboard.Row(row.title).id(next(ids)))
    for panel in row.panels:
        if isinstance(panel, Note):
            builder.with_panel(_note(panel).id(next(ids)))
        else:
            builder.with_panel(_panel(panel).id(next(ids)))


def _note(note: Note) -> text.Panel:
    return (
        text.Panel()
        .title(note.title)
        .description(note.description)
        .content(note.text)
        .span(note.width)
        .height(note.height)
    )


def _panel(panel: Panel) -> Builder:
    builder: Builder
    match panel.kind:
        case "timeseries":
            builder = _timeseries(panel)
        case "stat":
            figure = stat.Panel().reduce_options(_last())
            builder = figure.graph_mode(common_model.BigValueGraphMode.AREA)
            if panel.named:
                figure.graph_mode(common_model.BigValueGraphMode.NONE)
                figure.text_mode(common_model.BigValueTextMode.NAME)
        case "bargauge":
            builder = (
                bargauge.Panel().reduce_options(_last()).orientation(common_model.VizOrientation.HORIZONTAL)
            )
    builder.title(panel.title).description(panel.description).datasource(_SOURCE).unit(panel.unit)
    builder.span(panel.width).height(panel.height).min(0).no_value(panel.no_value)
    if panel.unit in _DECIMALS:
        builder.decimals(_DECIMALS[panel.unit])
    builder.thresholds(_thresholds(panel.limit, plain="blue" if panel.kind == "bargauge" else "text"))
    if panel.maximum is not None:
        builder.max(panel.maximum)
    if panel.min_step is not None:
        builder.interval(panel.min_step)
    if panel.infinite:
        said = model.ValueMappingResult(text=panel.infinite, color=_BAD)
        beyond = model.DashboardRangeMapOptions(from_val=_ENDLESS_S, to=None, result=said)
        builder.mappings([model.RangeMap(options=beyond)])
    for ref_id, query in zip(ascii_uppercase, panel.queries, strict=False):
        builder.with_target(_query(query, ref_id, now_only=panel.now_only))
        _coloured(builder, query, ref_id)
    return builder


def _coloured(builder: Builder, query: Query, ref_id: str) -> None:
    """Colours that mean something are the same everywhere."""
    for name, colour in _MEANT.get(query.legend, {}).items():
        builder.override_by_name(name, [_colour(colour)])
    if query.colour is not None:
        builder.override_by_query(ref_id, [_colour(query.colour)])


def _colour(name: str) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": name})


def _timeseries(panel: Panel) -> timeseries.Panel:
    by_label = any("{{" in query.legend for query in panel.queries)
    # Of panels of one width each begins and ends its axis of time at the same place, whatever its unit and its
    # series: a fault window is straight above that of the next one. Names have more of the legend than figures: of
    # one that is cut off at the beginning that it shares with all others, nobody can tell whose it is. Narrow ones have
    # no room beside the chart, and below it for two rows.
    wide = panel.width >= _WIDE
    beside = wide or by_label or len(panel.queries) > 2
    legend = (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(common_model.LegendDisplayMode.TABLE)
        .placement(common_model.LegendPlacement.RIGHT if beside else common_model.LegendPlacement.BOTTOM)
        .calcs(["max", "lastNotNull"] if wide or by_label else ["mean", "max", "lastNotNull"])
    )
    builder = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(40 if panel.stacked else 8)
        .show_points(common_model.VisibilityMode.AUTO)
        .axis_width(_AXIS_PX)
        .legend(legend.width(_LEGEND_PX) if wide else legend)
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_model.TooltipDisplayMode.MULTI)
            .sort(common_model.SortOrder.DESCENDING)
        )
    )
    if panel.stacked:
        builder.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL))
    if panel.maximum is None and panel.unit in _SOFT_MAXIMUM:
        builder.axis_soft_max(_SOFT_MAXIMUM[panel.unit])
    if panel.limit is not None:
        style = common.GraphThresholdsStyleConfig().mode(common_model.GraphThresholdsStyleMode.DASHED)
        builder.thresholds_style(style)
    return builder


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _thresholds(limit: Limit | None, plain: str) -> dashboard.ThresholdsConfig:
    steps = [model.Threshold(value=None, color=plain if limit is None else _GOOD)]
    if limit is not None:
        below, above = (_GOOD, _BAD) if limit.good == "below" else (_BAD, _GOOD)
        steps = [model.Threshold(value=None, color=below), model.Threshold(value=limit.value, color=above)]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _query(query: Query, ref_id: str, *, now_only: bool) -> prometheus.Dataquery:
    builder = (
        prometheus.Dataquery()
        .ref_id(ref_id)
        .datasource(_SOURCE)
        .expr(query.expression.text)
        .legend_format(query.legend)
        .format(PromQueryFormat.TIME_SERIES)
    )
    return builder.instant() if now_only else builder.range()


def _annotation() -> dashboard.AnnotationQuery:
    # Without a step of its own Grafana asks every 60 s, and faults that are near one another fuse.
    target = (
        prometheus.Dataquery()
        .ref_id("Anno")
        .datasource(_SOURCE)
        .expr(fault_windows().over(REFERENCE).text)
        .interval(SCRAPE_INTERVAL)
        .range()
    )
    return (
        dashboard.AnnotationQuery()
        .name("Faults")
        .datasource(_SOURCE)
        .enable(True)
        .icon_color(_FAULT)
        .target(target)
        .title_format("{{kind}}")
        .text_format("{{fault}} on {{target}}")
        .tag_keys("experiment,fault,kind,target")
    )


def _variable(variable: Variable) -> dashboard.QueryVariable:
    everything = model.VariableOption(selected=True, text=["All"], value=["$__all"])
    builder = (
        dashboard.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(_SOURCE)
        .query({"query": variable.query.text, "refId": f"Variable-{variable.name}"})
        .definition(variable.query.text)
        .multi(True)
        .include_all(True)
        .current(everything)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )
    return builder if variable.all_value is None else builder.all_value(variable.all_value)


def _links() -> dashboard.DashboardLink:
    links = dashboard.DashboardLink(TAG).type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return links.as_dropdown(True).keep_time(True).include_vars(True)


def _cleaned(plain: dict[str, Any]) -> dict[str, Any]:
    """Without what the SDK writes and Grafana's schema does not have, or nobody asked for."""
    for panel in plain["panels"]:
        panel.pop("repeatDirection", None)
    for variable in plain["templating"]["list"]:
        for key in ("auto", "auto_count", "auto_min"):
            variable.pop(key, None)
    for shown_on_top in (*plain["annotations"]["list"], *plain["links"]):
        shown_on_top.pop("placement", None)  # `inControlsMenu` hides it in a menu
    return plain
