"""Rates against what they cost, as lines of SVG: throughput, and each latency at its median and its P99."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaos.record.load_run import Latency, Level, LoadRun
from chaos.report import few
from chaos.report.words import plain, seconds

WIDTH, HEIGHT = 620.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 16.0, 14.0, 34.0
_TICKS = 4
_P99 = "p99"


@dataclass(frozen=True, slots=True)
class Dot:
    """One level of one line; `beyond` where its value is infinite and it sits at the upper edge."""

    x: float
    y: float
    beyond: bool
    about: str
    weak: bool = False
    """Whether it is a P99 of too few requests, and is drawn hollow."""


@dataclass(frozen=True, slots=True)
class Line:
    """One figure over the rates."""

    name: str
    colour: str
    path: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an edge, and what it stands for."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Lines that share a scale."""

    id: str
    title: str
    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    along: tuple[Tick, ...]
    marks: tuple[Tick, ...]
    """The knee and the highest rate within the objectives."""


_Figure = Callable[[Level], float | None]


def _quantiles_of(name: str) -> dict[str, tuple[str, _Figure]]:
    """The median and the P99 of one of the latencies, each with its colour."""

    def figure(quantile: str) -> _Figure:
        def of(level: Level) -> float | None:
            latency: Latency = getattr(level, name)
            return latency.p50_s if quantile == "p50" else latency.p99_s

        return of

    return {"p50": ("blue", figure("p50")), _P99: ("orange", figure(_P99))}


_PICTURES: tuple[tuple[str, str, Callable[[float | None], str], dict[str, tuple[str, _Figure]]], ...] = (
    (
        "throughput",
        "Requests per second",
        plain,
        {
            "planned": ("grey", lambda level: level.rate_per_s),
            "completed": ("blue", lambda level: level.requests_per_s),
            "good": ("green", lambda level: level.good_per_s),
        },
    ),
    (
        "tokens",
        "Output tokens per second",
        plain,
        {"tokens": ("purple", lambda level: level.output_tokens_per_s)},
    ),
    ("ttft", "TTFT", seconds, _quantiles_of("ttft")),
    ("tpot", "TPOT: time per output token", seconds, _quantiles_of("tpot")),
    ("itl", "ITL: gaps between tokens", seconds, _quantiles_of("itl")),
    ("e2e", "End-to-end latency", seconds, _quantiles_of("e2e")),
)


def of_load(record: LoadRun) -> tuple[Picture, ...]:
    """A picture for each figure; none of a single rate."""
    if len(record.levels) < 2:
        return ()
    return tuple(
        _picture(record, identity, title, say, figures) for identity, title, say, figures in _PICTURES
    )


def _picture(
    record: LoadRun,
    identity: str,
    title: str,
    say: Callable[[float | None], str],
    figures: dict[str, tuple[str, _Figure]],
) -> Picture:
    levels = record.levels
    values = [figure(level) for _, figure in figures.values() for level in levels]
    top = 1.08 * max((value for value in values if value is not None and math.isfinite(value)), default=1.0)
    right = max(level.rate_per_s for level in levels)
    marks = ((record.highest_per_s, "highest within"), (record.knee_per_s, "knee"))
    return Picture(
        id=identity,
        title=title,
        lines=tuple(
            _line(name, colour, levels, figure, (right, top), say)
            for name, (colour, figure) in figures.items()
        ),
        across=tuple(Tick(_y(value, top), say(value)) for value in _round_values(top)),
        along=tuple(Tick(_x(value, right), plain(value)) for value in _round_values(right)),
        marks=tuple(Tick(_x(at, right), what) for at, what in marks if at is not None),
    )


def _line(
    name: str,
    colour: str,
    levels: Sequence[Level],
    figure: _Figure,
    scale: tuple[float, float],
    say: Callable[[float | None], str],
) -> Line:
    right, top = scale
    dots = tuple(
        Dot(
            _x(level.rate_per_s, right),
            _y(value, top),
            math.isinf(value),
            f"{name} at {plain(level.rate_per_s)}/s: {few.p99(value, level.planned) if weak else say(value)}",
            weak=weak,
        )
        for level in levels
        if (value := figure(level)) is not None
        for weak in (name == _P99 and few.is_weak(value, level.planned),)
    )
    # An infinite value has no place on the line: it ends before it.
    path, broken = "", True
    for dot in dots:
        path += "" if dot.beyond else f"{'M' if broken else 'L'}{dot.x:.1f} {dot.y:.1f}"
        broken = dot.beyond
    return Line(name, colour, path, dots)


def _x(value: float, right: float) -> float:
    return round(LEFT + value / right * (WIDTH - LEFT - RIGHT), 1)


def _y(value: float, top: float) -> float:
    share = min(1.0, value / top) if math.isfinite(value) else 1.0
    return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)


def _round_values(largest: float) -> list[float]:
    """0 and some round values below the largest."""
    exponent = math.floor(math.log10(largest / _TICKS))
    step = next(
        factor * 10.0**exponent for factor in (1, 2, 5, 10) if factor * 10.0**exponent >= largest / _TICKS
    )
    return [step * index for index in range(int(largest / step) + 1)]
