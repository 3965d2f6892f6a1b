"""What every chart of a report is made of, as the page's script is given it.

Infinity is the string "inf", as everywhere in the run folder; a missing value is null.
"""

import math
from collections.abc import Sequence
from typing import Any

from chaos.measuring.slis import Bin

Chart = dict[str, Any]
"""What the page's script is given."""


def chart(
    name: str, title: str, note: str, *, x: Sequence[object], series: list[Chart], top: float = 0
) -> Chart:
    """Of counts, on a linear axis from 0; what is otherwise is put into it afterwards."""
    return {
        "id": name,
        "title": title,
        "note": note,
        "kind": "lines",
        "unit": "count",
        "suffix": "",
        "scale": "linear",
        "x": x,
        "series": series,
        "range": [0, max(1, math.ceil(top * 1.12))],
        "bound": None,
        "extra_px": 0,
    }


def edges(bins: Sequence[Bin]) -> list[int]:
    """Where seconds begin, and the last one ends."""
    return list(range(len(bins) + 1))


def closed(values: Sequence[int], last: int | None = None) -> list[int]:
    """Steps need the right edge of their last second."""
    return [*values, *([values[-1] if last is None else last] if values else [0])]


def round_below(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten: an axis that starts there starts with a round label."""
    power = 10.0 ** math.floor(math.log10(value))
    return float(f"{max(step * power for step in (1, 2, 5) if step * power <= value):.4g}")


def plain(value: float | None) -> float | str | None:
    """As JSON can have it; four significant digits are finer than a pixel."""
    if value is None or math.isnan(value):
        return None
    return "inf" if math.isinf(value) else float(f"{value:.4g}")
