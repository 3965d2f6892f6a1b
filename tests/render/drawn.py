"""What is wrong with a dashboard as it was drawn: the facts that `draw.mjs` reads off the page, against its JSON.

The units here are written down by hand, from what Grafana's documentation says they look like: formatting values with
Grafana's own code again could not find a wrong one.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Facts = Mapping[str, Any]
Json = Mapping[str, Any]

_SCALES: Mapping[str, Mapping[str, float]] = {
    "s": {
        "ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1, "min": 60, "mins": 60, "hour": 3600, "hours": 3600,
        "day": 86400, "days": 86400, "week": 604800, "weeks": 604800,
    },
    "percentunit": {"%": 0.01},
    "reqps": {"req/s": 1, "K req/s": 1e3},
    "short": {"": 1, "K": 1e3, "Mil": 1e6, "Bil": 1e9},
    "none": {"": 1},
    "bytes": {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40},
    "binBps": {"B/s": 1, "KiB/s": 2**10, "MiB/s": 2**20, "GiB/s": 2**30, "TiB/s": 2**40},
    "Bps": {"B/s": 1, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9, "TB/s": 1e12},
    "watt": {"mW": 1e-3, "W": 1, "kW": 1e3, "MW": 1e6},
    "celsius": {"°C": 1},
    "hertz": {"Hz": 1, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9},
    "ops": {"ops/s": 1, "K ops/s": 1e3},
}  # fmt: skip
"""What may stand behind a number of each unit, and what it makes of the number."""
_NUMBER = re.compile(r"(-?[\d.]+(?:e[+-]?\d+)?) ?(.*)")
_ROUNDING = 0.02
"""Grafana draws three digits of most values, and two of some."""
_LEAST_INK = 0.002
"""Of a panel's content: a chart with one flat line has ten times as much."""
_TIME = re.compile(r"\d\d:\d\d(:\d\d)?|\d\d/\d\d( \d\d:\d\d)?|\d{4}-\d\d(-\d\d)?")
"""What stands under a time axis."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a picture must show beyond its JSON."""

    faults: Sequence[tuple[float, float]] | None = None
    """Unix seconds from the start to the end of each fault; None: whatever the annotations found."""
    tolerance_s: float = 3.0
    """How far a painted region's edges may lie from the fault's: steps of queries and widths of pixels."""
    untold: Sequence[str] = ()
    """Titles of panels whose series were not there to be scraped: each must say so, in its own words."""


def value_of(text: str, unit: str) -> float | None:
    """The number that a drawn text stands for, in the unit's base; None when it is not in that unit."""
    found = _NUMBER.fullmatch(text)
    if not found:
        return None
    number, symbol = found.groups()
    scales = {unit.removeprefix("suffix:"): 1.0} if unit.startswith("suffix:") else _SCALES.get(unit, {})
    return float(number) * scales[symbol] if symbol in scales else None


def problems(dashboard: Json, drawn: Facts, expected: Expected) -> list[str]:
    """Everything that is wrong with one drawn dashboard, each with its panel's title."""
    wanted = {panel["id"]: panel for panel in dashboard["panels"] if panel["type"] != "row"}
    facts = {panel["id"]: panel for panel in drawn["panels"]}
    found = [f"the page failed: {failure}" for failure in drawn["failures"]]
    if facts.keys() != wanted.keys():
        found.append(f"{len(facts)} panels drawn of {len(wanted)}")
    faults = expected.faults
    if faults is None:
        faults = sorted((each["fromMs"] / 1000, each["toMs"] / 1000) for each in drawn.get("windows", ()))
    for number in wanted.keys() & facts.keys():
        panel = wanted[number]
        if panel["title"] in expected.untold:
            if not facts[number]["saysNoValue"]:
                found.append(f"panel {panel['title']!r}: it does not say that it has no data")
            continue
        complaints = [
            *_content(panel, facts[number]),
            *_legend(panel, facts[number]),
            *_values(panel, facts[number]),
            *_clipping(facts[number]),
            *_regions(panel, facts[number], Expected(faults, expected.tolerance_s)),
        ]
        found += [f"panel {panel['title']!r}: {complaint}" for complaint in complaints]
    return found


def _content(panel: Json, facts: Facts) -> Iterable[str]:
    if facts["title"] != panel["title"]:
        yield f"its title is {facts['title']!r}"
    if facts["ink"] < _LEAST_INK:
        yield f"{facts['ink']:.2%} of it is not blank in the picture"
    if facts["state"] != "Done":
        yield f"its queries ended as {facts['state']}"
    yield from (f"error: {error}" for error in (*facts["errors"], *facts["errorBoxes"]))
    if not panel.get("targets"):
        if len(facts["words"]) < 2:  # the title is one
            yield "nothing is in it"
        return
    if facts["saysNoValue"] or not facts["frames"]:
        yield "it has no data"
        return
    answered = {frame["refId"] for frame in facts["frames"] if frame["points"]}
    yield from (
        f"query {target['refId']} ({target['legendFormat']}) has no points"
        for target in panel["targets"]
        if target["refId"] not in answered
    )
    yield from (f"series {frame['name']!r} has no points" for frame in facts["frames"] if not frame["points"])


def _legend(panel: Json, facts: Facts) -> Iterable[str]:
    if panel["type"] != "timeseries":
        return
    named = [row for row in facts["legend"] if any(row)]
    if len(facts["frames"]) > 1 and len(named) != len(facts["frames"]):
        yield f"its legend names {len(named)} of {len(facts['frames'])} series"


def _values(panel: Json, facts: Facts) -> Iterable[str]:
    if not facts["frames"]:
        return
    if panel.get("options", {}).get("textMode") == "name":
        names = [frame["name"] for frame in facts["frames"]]
        shown = [figure["text"] for figure in facts["figures"]]
        if shown != names:
            yield f"it shows {shown} in place of the names {names}"
        return
    unit = panel["fieldConfig"]["defaults"]["unit"]
    step = 10.0 ** -panel["fieldConfig"]["defaults"].get("decimals", 4)
    axis = [each["text"] for each in facts["axes"] if not _TIME.fullmatch(each["text"])]
    columns = [text for row in facts["legend"] for text in row[2:]]
    figures = [figure["text"] for figure in facts["figures"]]
    for text in dict.fromkeys((*axis, *columns, *figures)):
        if value_of(text, unit) is None:
            yield f"{text!r} is not in its unit {unit!r}"
    if panel["type"] == "timeseries" and len(axis) < 2:
        yield "its axis has no values"
    if panel["type"] == "timeseries" and not any(_TIME.fullmatch(each["text"]) for each in facts["axes"]):
        yield "its axis has no times"
    last = {frame["name"]: frame["last"] for frame in facts["frames"]}
    yield from (
        f"{name!r} is {last.get(name)} and drawn as {text!r}"
        for name, text in _last_drawn(panel, facts)
        if not _says(text, unit, last.get(name), step)
    )


def _last_drawn(panel: Json, facts: Facts) -> Iterable[tuple[str, str]]:
    """The last value of each series as the panel shows it."""
    yield from ((figure["name"], figure["text"]) for figure in facts["figures"])
    calculations = panel.get("options", {}).get("legend", {}).get("calcs", [])
    if "lastNotNull" in calculations:
        column = 2 + calculations.index("lastNotNull")  # after the colour and the name
        yield from ((row[1], row[column]) for row in facts["legend"] if len(row) > column)


def _says(text: str, unit: str, value: float | None, step: float) -> bool:
    drawn = value_of(text, unit)
    if drawn is None or value is None:
        return False
    # Small values are drawn with few digits, however small they are.
    return math.isclose(drawn, value, rel_tol=_ROUNDING, abs_tol=step)


def _clipping(facts: Facts) -> Iterable[str]:
    if facts["hiddenPx"] > 1:
        yield f"{facts['hiddenPx']} pixels of it would have to be scrolled to"
    for each in (*facts["axes"], *facts["words"]):
        if not each["whole"]:
            yield f"{each['text']!r} is cut off"


def _regions(panel: Json, facts: Facts, expected: Expected) -> Iterable[str]:
    if panel["type"] != "timeseries" or not facts["frames"]:
        return
    painted = [(start_ms / 1000, end_ms / 1000) for start_ms, end_ms in facts["regions"] or ()]
    faults = expected.faults or ()
    if len(painted) != len(faults):
        yield f"{len(painted)} fault windows are painted, and there were {len(faults)}"
        return
    for (start_s, end_s), (from_s, to_s) in zip(faults, painted, strict=True):
        if max(abs(from_s - start_s), abs(to_s - end_s)) > expected.tolerance_s:
            yield f"the fault from {start_s:.1f} to {end_s:.1f} is painted from {from_s:.1f} to {to_s:.1f}"
