"""Charts of how fast answers came: first tokens, time per token, gaps between tokens, tokens per second.

A quantile is drawn where a second holds enough samples for it; where it does not, the slowest is drawn, and called so.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from chaos.measuring import pace
from chaos.measuring.objectives import Objectives
from chaos.measuring.slis import Bin
from chaos.measuring.spread import Spread
from chaos.measuring.timeline import Timeline
from chaos.report.drawing import Chart, chart, closed, edges, plain, round_below
from chaos.report.words import seconds


def first_token(bins: Sequence[Bin], objectives: Objectives) -> Chart:
    """TTFT of the arrivals of each second, with its objective."""
    return _spreads(
        "ttft",
        "Time to first token",
        "of the arrivals of each second, from their intended start; failures count as infinite",
        (second.ttft for second in bins),
        objectives.ttft_s,
    ) | {"extra_px": 40}


def between_tokens(timeline: Timeline, bins: Sequence[Bin], objectives: Objectives) -> list[Chart]:
    """What follows the first token; nothing where no answer had a second one."""
    rows, length = timeline.rows, len(bins)
    if not len(rows.ended_gaps[0]):
        return []
    tokens = closed(pace.tokens_arrived(rows, length).tolist())
    return [
        _spreads(
            "tpot",
            "Time per output token",
            "after the first, of the answers planned in each second; failures count as infinite",
            pace.time_per_token(rows, length),
            objectives.tpot_s,
        ),
        _spreads(
            "itl",
            "Gap between tokens",
            "of the gaps that ended in each second; one that never ended is a failure, and above",
            pace.gaps(rows, length),
            objectives.itl_s,
        ),
        chart(
            "tokens",
            "Tokens",
            "that reached clients, per second",
            x=edges(bins),
            series=[
                {"label": "tokens", "colour": "green", "style": "step", "fill": "area", "values": tokens}
            ],
            top=max(tokens),
        ),
    ]


def _spreads(
    name: str, title: str, note: str, by_second: Iterable[Spread | None], bound_s: float | None
) -> Chart:
    found = [*by_second]
    usual = int(np.median([second.n for second in found if second is not None] or [0]))
    lines = [
        (label, colour, [None if second is None else getattr(second, key) for second in found])
        for label, key, colour in _lines(usual)
    ]
    finite = [value for _, _, values in lines for value in values if value is not None and value < math.inf]
    positive = [value for value in (*finite, bound_s or 0.0) if value > 0] or [1.0]
    infinite = any(value == math.inf for _, _, values in lines for value in values)
    drawn = chart(
        name,
        title,
        f"{note}; {usual:,} a second as a rule{_too_few(usual)}; logarithmic",
        # Null at both ends: every chart spans the same stretch of the run clock.
        x=[0, *(second + 0.5 for second in range(len(found))), len(found)],
        series=[
            {"label": label, "colour": colour, "style": "line", "values": [None, *map(plain, values), None]}
            for label, colour, values in lines
        ],
    )
    return drawn | {
        "unit": "s",
        "scale": "log",
        "range": [round_below(min(positive) / 1.6), plain(max(positive) * (3 if infinite else 1.6))],
        "bound": None if bound_s is None else {"label": f"SLO {seconds(bound_s)}", "value": bound_s},
    }


def _lines(usual: int) -> list[tuple[str, str, str]]:
    """What so many samples a second carry; of fewer than 100 the P99 is the slowest, and is called that."""
    tail = ("p99", "p99", "orange") if usual >= _needed(99) else ("slowest", "most", "orange")
    return [("p50", "p50", "green"), *([("p95", "p95", "blue")] if usual >= _needed(95) else []), tail]


def _needed(percent: int) -> int:
    """Samples of which a quantile is not the slowest one."""
    return 100 // (100 - percent)


def _too_few(usual: int) -> str:
    left_out = [f"P{percent}" for percent in (95, 99) if usual < _needed(percent)]
    return f", too few for {' and '.join(left_out)}" if left_out else ""
