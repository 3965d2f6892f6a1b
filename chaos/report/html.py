"""The report for people: one HTML file that opens offline, with uPlot, styles and data inside."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from jinja2 import Environment

from chaos.errors import RefusedError
from chaos.record.entry import Entry
from chaos.report import (
    attained,
    beyond,
    charts,
    cost,
    disturbances,
    few,
    kept,
    lifecycle,
    machine,
    story,
    tiles,
    words,
)
from chaos.report.recorded import Recorded
from chaos.report.templates import environment, stylesheet

LANE_PX = 20
"""Height of one replica's line, here and in the style sheet."""


def render(run: Recorded) -> str:
    """The page; every text of the run is escaped.

    Raises:
        RefusedError: uPlot is not installed.
    """
    end_s = len(run.bins)
    drawn = [
        *charts.of_run(run.timeline, run.bins, run.objectives),
        *machine.of_samples(run.samples, end_s),
    ]
    of_prometheus = kept.of_series(run.series, end_s, run.journal.load.rate)
    clock = charts.clock(run, end_s)
    lanes = lifecycle.lanes(run.timeline, end_s)
    prefix, short_names = lifecycle.short_names([lane.replica for lane in lanes])
    return (
        _environment(end_s)
        .get_template("report.html.j2")
        .render(
            journal=run.journal,
            story=story,
            tiles=tiles.tiles,
            few=few,
            cost=cost,
            beyond=beyond,
            attained=attained,
            disturbances=disturbances.rows(run.journal),
            charts=drawn,
            kept=of_prometheus,
            lanes=list(zip(short_names, lanes, strict=True)),
            lane_px=LANE_PX,
            ejected=any(span.state == "ejected" for lane in lanes for span in lane.spans),
            name_prefix=prefix,
            phases=clock["phases"],
            victims=lifecycle.victims(run.timeline),
            chart_json=_json({"clock": clock, "charts": [*drawn, *of_prometheus]}),
            journal_json=_in_script(run.journal.text),
            **_of_every_page(),
        )
    )


def _of_every_page() -> dict[str, str]:
    return {
        "css": stylesheet(),
        "script": files("chaos.report").joinpath("report.js").read_text(),
        "uplot_css": _uplot("uPlot.min.css"),
        "uplot_script": _uplot("uPlot.iife.js"),
    }


def _environment(end_s: float) -> Environment:
    made = environment("chaos.report")
    made.filters.update(
        instant=words.instant, unbroken=_unbroken, facts=_facts, across=partial(_across, end_s)
    )
    return made


def _uplot(name: str) -> str:
    """A file of uPlot, found without importing the package around it: that would import IPython."""
    spec = find_spec("uplot")
    if spec is None or not spec.submodule_search_locations:
        raise RefusedError("the report needs uPlot: uplot-python", hint="install it: make setup")
    return (Path(spec.submodule_search_locations[0]) / "static" / name).read_text()


def _json(value: object) -> str:
    """JSON that can stand inside a script element: nothing in it can close one."""
    return _in_script(json.dumps(value, separators=(",", ":"), allow_nan=False))


def _in_script(text: str) -> str:
    return text.replace("<", r"\u003c")


def _unbroken(text: str) -> str:
    """The text with each number tied to its unit."""
    return re.sub(r"(?<=\d) (?=m?s\b|%)", "\N{NO-BREAK SPACE}", text)


def _facts(of: Entry | Mapping[str, object] | None, within: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf of a part of the journal, and of mappings in it, as a name in words and a figure with its unit."""
    mapping = of.model_dump() if isinstance(of, Entry) else of or {}
    for key, value in mapping.items():
        seconds = key.endswith("_s")
        name = f"{within} {key.removesuffix('_s').replace('_', ' ')}".strip()
        if isinstance(value, Mapping):
            yield from _facts(value, name)
        elif isinstance(value, list | tuple):
            yield name, ", ".join(str(item) for item in value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, words.seconds(value) if seconds else words.plain(value)
        else:
            yield name, words.NOTHING if value is None else str(value)


def _across(end_s: float, at_s: float) -> str:
    """Where an instant lies between the left and the right edge of the run."""
    return f"{100 * at_s / max(end_s, 1):.3f}%"
