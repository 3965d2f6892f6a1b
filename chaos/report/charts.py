"""The data of the report's charts: what the page's script draws, and nothing that it would have to work out.

Infinity is the string "inf", as everywhere in the run folder; a missing value is null.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from chaos.measuring.objectives import Objectives
from chaos.measuring.recovery_time import Status
from chaos.measuring.slis import Bin
from chaos.measuring.timeline import Timeline, ready_steps
from chaos.report import disturbances, latency, story
from chaos.report.drawing import Chart, chart, closed, edges, plain
from chaos.report.recorded import Recorded
from chaos.report.words import seconds
from loadtests.rows import OUTCOMES

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
        latency.first_token(bins, objectives),
        _errors(timeline, bins),
        _in_flight(bins),
        *([_replicas(timeline, len(bins))] if timeline.wanted_replicas else []),
        *latency.between_tokens(timeline, bins, objectives),
    ]


def _goodput(timeline: Timeline, bins: Sequence[Bin]) -> Chart:
    arriving = [second for second in bins if second.start_s < timeline.plan_end_s]
    drain = [None] * (len(bins) - len(arriving))
    planned = closed([second.planned for second in arriving])
    good = closed([second.good for second in arriving])
    return chart(
        "goodput",
        "Goodput",
        "requests per second, by intended start; good means answered completely and within the SLO",
        x=edges(bins),
        series=[
            {"label": "planned", "colour": "grey", "style": "step", "values": [*planned, *drain]},
            {"label": "good", "colour": "blue", "style": "step", "fill": "area", "values": [*good, *drain]},
        ],
        top=max(planned, default=0),
    )


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
            "values": closed([by_second[name, second.start_s] for second in bins], last=0),
        }
        for name, colour in zip(names, (*_OUTCOME_COLOURS, "grey"), strict=False)
    ]
    quiet = {"label": "failed", "colour": "grey", "style": "bar", "values": [0] * (len(bins) + 1)}
    return chart(
        "errors",
        "Failures",
        "per second, at the instant of failure, by outcome" if names else "no request failed",
        x=edges(bins),
        series=series or [quiet],
        top=max((second.failed for second in bins), default=0),
    ) | {"kind": "stack"}


def _in_flight(bins: Sequence[Bin]) -> Chart:
    values = [0, *(second.in_flight for second in bins)]
    return chart(
        "in-flight",
        "Requests in flight",
        "at the end of each second",
        x=edges(bins),
        series=[{"label": "in flight", "colour": "purple", "style": "line", "values": values}],
        top=max(values),
    )


def _replicas(timeline: Timeline, end_s: int) -> Chart:
    before = [step for step in ready_steps(timeline) if step.at_s <= 0][-1:]
    after = [step for step in ready_steps(timeline) if 0 < step.at_s < end_s]
    ready = [len(step.replicas) for step in before] or [0]
    ready += [len(step.replicas) for step in after]
    wanted = [timeline.wanted_replicas] * (len(ready) + 1)
    return chart(
        "replicas",
        "Replicas ready",
        "against the number wanted",
        x=[0, *(plain(step.at_s) for step in after), end_s],
        series=[
            {"label": "wanted", "colour": "grey", "style": "step", "dashed": True, "values": wanted},
            {"label": "ready", "colour": "green", "style": "step", "values": closed(ready)},
        ],
        top=max(*ready, timeline.wanted_replicas),
    )
