"""Charts of what a run kept of its Prometheus: a panel of the dashboards each, of eight lines at most."""

import math
import re
from collections.abc import Callable, Mapping, Sequence

from chaos.record.observed import KeptSeries
from chaos.report.drawing import Chart, chart, plain
from chaos.report.words import plain as number
from chaos.report.words import seconds, share

MOST_LINES = 8
"""More cannot be told apart by colour."""
_COLOURS = ("sky", "orange", "green", "purple", "pink", "yellow", "blue", "grey")
_GIB = 1024.0**3
_A_P99, _WINDOW = re.compile(r"quantile\(\s*0\.99\b"), re.compile(r"\[(\d+)s\]")
_UNITS: Mapping[str, tuple[str, str]] = {
    "s": ("s", ""),
    "percentunit": ("share", ""),
    "bytes": ("value", "GiB"),
    "Bps": ("value", "GiB/s"),
    "reqps": ("value", "/s"),
    "watt": ("value", "W"),
    "celsius": ("value", "°C"),
    "hertz": ("value", "Hz"),
}
"""Of a panel's unit: how the page formats numbers, and what follows them."""


def of_series(series: Mapping[str, KeptSeries], end_s: float, rate_per_s: float | None) -> list[Chart]:
    """A chart for each panel whose series the run kept; a P99 of few requests is marked, as far as the rate tells."""
    panels: dict[str, list[KeptSeries]] = {}
    for one in series.values():
        panels.setdefault(one.panel, []).append(one)
    return [
        _of_panel(place, title, kept, end_s, rate_per_s) for place, (title, kept) in enumerate(panels.items())
    ]


def _of_panel(
    place: int, title: str, kept: Sequence[KeptSeries], end_s: float, rate_per_s: float | None
) -> Chart:
    scale = 1 / _GIB if kept[0].unit in ("bytes", "Bps") else 1.0
    valued = {
        one.label: {at_s: plain(value and value * scale) for at_s, value in one.points if 0 <= at_s <= end_s}
        for one in _highest(kept)
    }
    instants = sorted({at_s for values in valued.values() for at_s in values})
    weak = {one.label: _few(one, rate_per_s) for one in kept}
    notes = [kept[0].note]
    if len(valued) < len(kept):
        notes.append(f"Of {len(kept)} series the {len(valued)} that reached highest.")
    if number_of := next(filter(None, weak.values()), None):
        notes.append(f"*: of about {number_of} requests each, too few for it.")
    drawn = chart(
        f"series-{place}",
        title,
        " ".join(notes),
        x=[0, *map(plain, instants), end_s],
        series=[
            {
                "label": f"{label} *" if weak[label] else label,
                "colour": colour,
                "style": "line",
                "values": [None, *map(values.get, instants), None],
            }
            for (label, values), colour in zip(valued.items(), _COLOURS, strict=False)
        ],
    )
    limit = None if kept[0].limit is None else kept[0].limit * scale
    finite = [value for values in valued.values() for value in values.values() if isinstance(value, float)]
    highest = max((*finite, limit or 0), default=0)
    kind, suffix = _unit(kept[0].unit)
    return drawn | {
        "unit": kind,
        "suffix": suffix,
        "range": [min(0, *finite), highest * 1.12 if highest > 0 else 1],
        "bound": None if limit is None else {"label": f"limit {_said(limit, kind, suffix)}", "value": limit},
    }


def _highest(kept: Sequence[KeptSeries]) -> list[KeptSeries]:
    """As many of them as a chart may have, in their order: those that went highest, failures among them."""
    chosen = sorted(kept, key=_peak, reverse=True)[:MOST_LINES]
    return [one for one in kept if one in chosen]


def _few(one: KeptSeries, rate_per_s: float | None) -> int | None:
    """Of how many requests each point of a P99 is, where so many have none but their slowest."""
    window = _WINDOW.search(one.query)
    if rate_per_s is None or window is None or not _A_P99.search(one.query):
        return None
    requests = round(rate_per_s * int(window[1]))
    return requests if requests < 100 else None


def _peak(one: KeptSeries) -> float:
    return max((value for _, value in one.points if value is not None), default=-math.inf)


def _unit(of_panel: str) -> tuple[str, str]:
    """Neither whole numbers nor, elsewhere, anything with a unit, as far as a panel says."""
    return _UNITS.get(of_panel, ("value", of_panel.removeprefix("suffix:") if ":" in of_panel else ""))


def _said(value: float, kind: str, suffix: str) -> str:
    """A limit with its unit."""
    say: Callable[[float], str] = {"s": seconds, "share": share}.get(kind, number)
    return f"{say(value)} {suffix}".rstrip()
