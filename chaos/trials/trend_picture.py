"""A trend as pictures: one per figure, a column per series or run, the oldest first."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaos.measuring.quantiles import quantile, quantile_interval
from chaos.record.trials import Trial
from chaos.record.verdict import Verdict
from chaos.report import few
from chaos.report.series.picture import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Tick, round_values
from chaos.report.words import seconds, share
from chaos.trials.trend import Point, Trend

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """What a picture is of."""

    id: str
    title: str
    note: str
    of: Callable[[Trial], float | None]
    says: Callable[[float | None], str]
    interval_of: Callable[[Trial], Interval | None] = lambda _: None
    """Of a single run's own figure, where the run knows it."""
    is_share: bool = False
    requests_of: Callable[[Trial], int | None] = lambda _: None
    """Of a P99, how many requests it is of."""

    def is_weak(self, trial: Trial) -> bool:
        """Whether that is too few for one."""
        requests = self.requests_of(trial)
        return requests is not None and few.is_weak(self.of(trial), requests)


FIGURES = (
    Figure(
        "service",
        "Service recovery",
        "from the first fault until goodput was back and stayed",
        lambda trial: trial.service_s,
        seconds,
        lambda trial: trial.service_interval_s,
    ),
    Figure(
        "capacity",
        "Capacity recovery",
        "from the first fault until every wanted replica was ready and had served",
        lambda trial: trial.capacity_s,
        seconds,
        lambda trial: trial.capacity_interval_s,
    ),
    Figure(
        "ttft",
        "TTFT P99 under the fault",
        "failures are slower than anything: at the upper edge, more than 1 % failed",
        lambda trial: trial.ttft_p99_in_fault_s,
        seconds,
        requests_of=lambda trial: trial.requests_in_fault,
    ),
    Figure(
        "ttft-baseline",
        "TTFT P99 of the baseline",
        "before anything was done",
        lambda trial: trial.ttft_p99_in_baseline_s,
        seconds,
        requests_of=lambda trial: trial.requests_in_baseline,
    ),
    Figure(
        "goodput",
        "Goodput under the fault",
        "good arrivals per planned arrivals",
        lambda trial: trial.goodput_in_fault,
        share,
        is_share=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Column:
    """One series or run in a picture, in pixels."""

    x: float
    y: float | None
    """Of the median; None where no trial has a value."""
    low_y: float | None
    high_y: float | None
    censored: bool
    """Whether the median is beyond what was watched, or infinite."""
    trials_y: tuple[float, ...]
    """Of each trial, where there are several."""
    verdict: str
    about: str
    weak: bool = False
    """Whether a P99 of too few requests is in it."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure over all points."""

    figure: Figure
    columns: tuple[Column, ...]
    ticks: tuple[Tick, ...]

    @property
    def note(self) -> str:
        """What there is to know of it."""
        weak = f"; {few.DRAWN}" if any(column.weak for column in self.columns) else ""
        return f"{self.figure.note}{weak}"


@dataclass(frozen=True, slots=True)
class Bar:
    """How many trials of a point came to a verdict, as a part of its column."""

    x: float
    y: float
    width: float
    height: float
    verdict: str
    about: str


def pictures(trend: Trend) -> tuple[Picture, ...]:
    """Those figures that some trial has."""
    drawn = (_picture(figure, trend.points) for figure in FIGURES)
    return tuple(one for one in drawn if any(column.y is not None for column in one.columns))


def verdict_bars(trend: Trend) -> tuple[Bar, ...]:
    """A column per point, its trials by verdict from below: deviated, inconclusive, passed."""
    step = _step(len(trend.points))
    width, bars = min(0.6 * step, 60.0), []
    for index, point in enumerate(trend.points):
        below = HEIGHT - BOTTOM
        for verdict in (Verdict.DEVIATED, Verdict.INCONCLUSIVE, Verdict.PASSED):
            number = getattr(point.side, verdict)
            height = number / max(point.side.trials, 1) * (HEIGHT - BOTTOM - TOP)
            if number:
                about = f"{point.side.started_at}: {number} of {point.side.trials} {verdict}"
                bars.append(Bar(_x(index, step) - width / 2, below - height, width, height, verdict, about))
            below -= height
    return tuple(bars)


def dates(trend: Trend) -> tuple[tuple[float, str], ...]:
    """Where each point stands, and when it began; of many points some alone have a text."""
    step = _step(len(trend.points))
    every = max(1, math.ceil(len(trend.points) / 9))
    return tuple(
        (_x(index, step), point.side.started_at[5:16].replace("T", " ") if index % every == 0 else "")
        for index, point in enumerate(trend.points)
    )


def verdict_of(point: Point) -> str:
    """The worst that its trials came to."""
    side = point.side
    return (
        Verdict.DEVIATED if side.deviated else Verdict.INCONCLUSIVE if side.inconclusive else Verdict.PASSED
    )


def _picture(figure: Figure, points: Sequence[Point]) -> Picture:
    values = [
        sorted(value for trial in point.trials if (value := figure.of(trial)) is not None) for point in points
    ]
    intervals = [_interval(figure, point, found) for point, found in zip(points, values, strict=True)]
    finite = [value for found in values for value in found if math.isfinite(value)]
    finite += [edge for interval in intervals if interval for edge in interval if math.isfinite(edge)]
    top = 1.0 if figure.is_share else max([*finite, 1e-3]) * 1.08
    step = _step(len(points))
    columns = tuple(
        _column(figure, point, found, interval, _x(index, step), top)
        for index, (point, found, interval) in enumerate(zip(points, values, intervals, strict=True))
    )
    rounds = (0.0, 0.25, 0.5, 0.75, 1.0) if figure.is_share else round_values(top)
    return Picture(figure, columns, tuple(Tick(_y(value, top), figure.says(value)) for value in rounds))


def _interval(figure: Figure, point: Point, ordered: Sequence[float]) -> Interval | None:
    """Of a single run what it says itself, of several trials that of their median."""
    return figure.interval_of(point.trials[0]) if len(point.trials) == 1 else quantile_interval(ordered, 50)


def _column(
    figure: Figure, point: Point, ordered: Sequence[float], interval: Interval | None, x: float, top: float
) -> Column:
    median = quantile(ordered, 50) if ordered else None
    between = f" ({figure.says(interval[0])} to {figure.says(interval[1])})" if interval else ""
    weak = any(figure.is_weak(trial) for trial in point.trials)
    mark = few.WEAK if weak else ""
    what = "median of " + str(len(ordered)) + " trials " if len(point.trials) > 1 else ""
    return Column(
        x=x,
        y=None if median is None else _y(median, top),
        low_y=_y(interval[0], top) if interval and median is not None else None,
        high_y=_y(interval[1], top) if interval and median is not None else None,
        censored=median is not None and math.isinf(median),
        trials_y=tuple(_y(value, top) for value in ordered) if len(point.trials) > 1 else (),
        verdict=verdict_of(point),
        about=f"{point.side.started_at}: {what}{figure.says(median)}{mark}{between}, {verdict_of(point)}",
        weak=weak,
    )


def _step(points: int) -> float:
    return (WIDTH - LEFT - RIGHT) / max(points, 1)


def _x(index: int, step: float) -> float:
    return round(LEFT + step * (index + 0.5), 1)


def _y(value: float, top: float) -> float:
    part = min(1.0, value / top) if math.isfinite(value) else 1.0
    return round(HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP), 1)
