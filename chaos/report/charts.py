"""The data of the report's charts: what the page's script draws, and nothing that it would have to work out.

Infinity is the string "inf", as everywhere in the run folder; a missing value is null.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chaos.measuring.objectives import Objectives
from chaos.measuring.recovery_time import Status
from chaos.measuring.slis import Bin
from chaos.measuring.timeline import Timeline, ready_steps
from chaos.record.observed import KeptSeries
from chaos.report import disturbances, story
from chaos.report.recorded import Recorded
from chaos.report.words import seconds
from loadtests.rows import OUTCOMES

Chart = dict[str, Any]
"""What the page's script is given."""
_SERIES_COLOURS = ("sky", "orange", "green", "purple", "pink", "yellow", "blue", "grey")
_OUTCOME_COLOURS = ("orange", "purple", "yellow", "sky", "pink")


def clock(run: Recorded, end_s: float) -> Chart:
    """What all charts share: the stretch of the run clock, its phases, and the instants that matter."""
    load, phases = run.journal.load, run.journal.phases
    stretches = [
        ("warm-up", 0, load.warmup_s),
        *((phase.name, phase.start_s, phase.end_s) for phase in phases if not phase.of_occurrence),
        ("drain", load.plan_end_s, end_s),
    ]
    return {
        "start_s": 0,
        "end_s": end_s,
        "phases": [
            {"name": name, "start_s": start_s, "end_s": until_s}
            for name, start_s, until_s in stretches
            if until_s > start_s
        ],
        "marks": _marks(run),
    }


def _marks(run: Recorded) -> list[Chart]:
    marks = []
    for fault in run.journal.faults:
        whole = list(fault.targets) == [story.SERVICE]
        label = fault.name if whole else f"{len(fault.targets)} {fault.done.removeprefix('were ')}"
        marks.append(_mark(fault.started_s, label, "orange"))
        if fault.ended_s is not None:
            marks.append(_mark(fault.ended_s, "fault ended", "orange", dashed=True))
    if run.journal.observes:
        for one in disturbances.of_run(run.journal):
            marks.append(_mark(one.start_s, "disturbed", "orange"))
            if one.ended_s is not None:
                back = f"back +{seconds(one.length_s)}"
                marks.append(_mark(one.ended_s, back, "blue", dashed=True))
    recovery, fault_s = run.journal.recovery, run.timeline.fault_start_s
    for name, label, colour in (("service", "goodput", "blue"), ("capacity", "capacity", "green")):
        after_s = recovery.seconds(name)
        if fault_s is not None and after_s is not None and recovery.status(name) is Status.RECOVERED:
            marks.append(_mark(fault_s + after_s, f"{label} back +{seconds(after_s)}", colour, dashed=True))
    return marks


def _mark(at_s: float, label: str, colour: str, *, dashed: bool = False) -> Chart:
    return {"at_s": at_s, "label": label, "colour": colour, "dashed": dashed}


def of_run(timeline: Timeline, bins: Sequence[Bin], objectives: Objectives) -> list[Chart]:
    """Every chart of the report, top to bottom, on the run clock in seconds."""
    return [
        _goodput(timeline, bins),
        _ttft(bins, objectives),
        _errors(timeline, bins),
        _in_flight(bins),
        *([_replicas(timeline, len(bins))] if timeline.wanted_replicas else []),
    ]


def of_series(series: Mapping[str, KeptSeries], end_s: float) -> list[Chart]:
    """A chart for each panel of the dashboards whose series the run kept."""
    panels: dict[str, list[KeptSeries]] = {}
    for one in series.values():
        panels.setdefault(one.panel, []).append(one)
    return [_of_panel(place, title, kept, end_s) for place, (title, kept) in enumerate(panels.items())]


def _of_panel(place: int, title: str, kept: Sequence[KeptSeries], end_s: float) -> Chart:
    valued = [{at_s: _plain(value) for at_s, value in one.points if 0 <= at_s <= end_s} for one in kept]
    instants = sorted({at_s for values in valued for at_s in values})
    chart = _chart(
        f"series-{place}",
        title,
        kept[0].note,
        x=[0, *map(_plain, instants), end_s],
        series=[
            {
                "label": one.label,
                "colour": _SERIES_COLOURS[nth % len(_SERIES_COLOURS)],
                "style": "line",
                "values": [None, *map(values.get, instants), None],
            }
            for nth, (one, values) in enumerate(zip(kept, valued, strict=True))
        ],
    )
    limit = kept[0].limit
    finite = [value for values in valued for value in values.values() if isinstance(value, float)]
    highest = max((*finite, limit or 0), default=0)
    return chart | {
        # Neither whole numbers nor, elsewhere, seconds, as far as this page knows.
        "unit": "s" if kept[0].unit == "s" else "value",
        "range": [min(0, *finite), highest * 1.12 if highest > 0 else 1],
        "bound": None if limit is None else {"label": f"limit {limit:g}", "value": limit},
    }


def _goodput(timeline: Timeline, bins: Sequence[Bin]) -> Chart:
    arriving = [second for second in bins if second.start_s < timeline.plan_end_s]
    drain = [None] * (len(bins) - len(arriving))
    planned = _closed([second.planned for second in arriving])
    good = _closed([second.good for second in arriving])
    return _chart(
        "goodput",
        "Goodput",
        "requests per second, by intended start; good means answered completely and within the SLO",
        x=_edges(bins),
        series=[
            {"label": "planned", "colour": "grey", "style": "step", "values": [*planned, *drain]},
            {"label": "good", "colour": "blue", "style": "step", "fill": "area", "values": [*good, *drain]},
        ],
        top=max(planned, default=0),
    )


def _ttft(bins: Sequence[Bin], objectives: Objectives) -> Chart:
    lines = (
        ("p50", "green", [second.ttft_p50_s for second in bins]),
        ("p95", "blue", [second.ttft_p95_s for second in bins]),
        ("p99", "orange", [second.ttft_p99_s for second in bins]),
    )
    finite = [
        value for _, _, values in lines for value in values if value is not None and math.isfinite(value)
    ]
    infinite = any(value == math.inf for _, _, values in lines for value in values)
    highest = max(*finite, objectives.ttft_s, 0) * (3 if infinite else 1.6)
    lowest = min(value for value in (*finite, objectives.ttft_s) if value > 0) / 1.6
    chart = _chart(
        "ttft",
        "Time to first token",
        "of the arrivals of each second, from their intended start; failures count as infinite; logarithmic",
        # Null at both ends: every chart spans the same stretch of the run clock.
        x=[0, *(second.start_s + 0.5 for second in bins), len(bins)],
        series=[
            {"label": label, "colour": colour, "style": "line", "values": [None, *map(_plain, values), None]}
            for label, colour, values in lines
        ],
    )
    return chart | {
        "unit": "s",
        "scale": "log",
        "range": [_round_below(lowest), _plain(highest)],
        "bound": {"label": f"SLO {seconds(objectives.ttft_s)}", "value": objectives.ttft_s},
        "extra_px": 40,
    }


def _errors(timeline: Timeline, bins: Sequence[Bin]) -> Chart:
    rows = timeline.rows
    failed = np.flatnonzero(~rows.ok)
    seconds_of = np.floor(rows.failed_at_s[failed]).astype(int).tolist()
    outcomes = [OUTCOMES[code] for code in rows.outcome[failed].tolist()]
    totals = Counter(outcomes)
    shown = [outcome for outcome, _ in totals.most_common(len(_OUTCOME_COLOURS))]
    by_second = Counter(
        (outcome if outcome in shown else "other", second)
        for outcome, second in zip(outcomes, seconds_of, strict=True)
    )
    names = [*shown, *(["other"] if len(totals) > len(shown) else [])]
    series: list[Chart] = [
        {
            "label": name,
            "colour": colour,
            "style": "bar",
            "values": _closed([by_second[name, second.start_s] for second in bins], last=0),
        }
        for name, colour in zip(names, (*_OUTCOME_COLOURS, "grey"), strict=False)
    ]
    quiet = {"label": "failed", "colour": "grey", "style": "bar", "values": [0] * (len(bins) + 1)}
    return _chart(
        "errors",
        "Failures",
        "per second, at the instant of failure, by outcome" if names else "no request failed",
        x=_edges(bins),
        series=series or [quiet],
        top=max((second.failed for second in bins), default=0),
    ) | {"kind": "stack"}


def _in_flight(bins: Sequence[Bin]) -> Chart:
    values = [0, *(second.in_flight for second in bins)]
    return _chart(
        "in-flight",
        "Requests in flight",
        "at the end of each second",
        x=_edges(bins),
        series=[{"label": "in flight", "colour": "purple", "style": "line", "values": values}],
        top=max(values),
    )


def _replicas(timeline: Timeline, end_s: int) -> Chart:
    before = [step for step in ready_steps(timeline) if step.at_s <= 0][-1:]
    after = [step for step in ready_steps(timeline) if 0 < step.at_s < end_s]
    ready = [len(step.replicas) for step in before] or [0]
    ready += [len(step.replicas) for step in after]
    wanted = [timeline.wanted_replicas] * (len(ready) + 1)
    return _chart(
        "replicas",
        "Replicas ready",
        "against the number wanted",
        x=[0, *(_plain(step.at_s) for step in after), end_s],
        series=[
            {"label": "wanted", "colour": "grey", "style": "step", "dashed": True, "values": wanted},
            {"label": "ready", "colour": "green", "style": "step", "values": _closed(ready)},
        ],
        top=max(*ready, timeline.wanted_replicas),
    )


def _chart(
    name: str, title: str, note: str, *, x: Sequence[object], series: list[Chart], top: float = 0
) -> Chart:
    return {
        "id": name,
        "title": title,
        "note": note,
        "kind": "lines",
        "unit": "count",
        "scale": "linear",
        "x": x,
        "series": series,
        "range": [0, max(1, math.ceil(top * 1.12))],
        "bound": None,
        "extra_px": 0,
    }


def _edges(bins: Sequence[Bin]) -> list[int]:
    return list(range(len(bins) + 1))


def _closed(values: Sequence[int], last: int | None = None) -> list[int]:
    """Steps need the right edge of their last second."""
    return [*values, *([values[-1] if last is None else last] if values else [0])]


def _round_below(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten: an axis that starts there starts with a round label."""
    power = 10.0 ** math.floor(math.log10(value))
    return float(f"{max(step * power for step in (1, 2, 5) if step * power <= value):.4g}")


def _plain(value: float | None) -> float | str | None:
    """Four significant digits are finer than a pixel."""
    if value is None or math.isnan(value):
        return None
    return "inf" if math.isinf(value) else float(f"{value:.4g}")
