"""The trials as a picture: a dot and its interval each, shams apart, one that did not recover at the upper edge."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chaos.record.trials import RecoveryOfTrials, Series, Trial, TrialState
from chaos.report.series import sentences
from chaos.report.words import plain, seconds

WIDTH = 1000.0
HEIGHT = 260.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 14.0, 26.0, 30.0
_BETWEEN = 1.0
"""Empty places between the trials and the shams."""
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Dot:
    """One trial."""

    x: float
    y: float
    low_y: float | None
    high_y: float | None
    """Where its interval ends; None where it has none."""
    mark: str
    """dot, censored (above the picture) or unknown."""
    verdict: str
    sham: bool
    number: int
    about: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across, and what it stands for."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """One recovery over the trials, in pixels of a drawing of `WIDTH` by `HEIGHT`."""

    name: str
    dots: tuple[Dot, ...]
    ticks: tuple[Tick, ...]
    median_y: float | None
    band: tuple[float, float] | None
    """The upper and the lower edge of the median's interval."""
    sham_x: float | None
    """Where the shams begin."""
    faults_end_x: float


def of_series(series: Series) -> tuple[Picture, ...]:
    """A picture for each recovery."""
    return tuple(_picture(one, series.trials) for one in series.recoveries)


def steps(of: RecoveryOfTrials, largest_s: float) -> str:
    """The curve of Kaplan and Meier as the path of a step function from 0 to `largest_s`."""
    parts = (f"H{_x(point.at_s, largest_s):.1f}V{_share_y(point.share):.1f}" for point in of.curve)
    return f"M{LEFT:.1f} {HEIGHT - BOTTOM:.1f}{''.join(parts)}H{WIDTH - RIGHT:.1f}" if of.n else ""


def curve_ticks(largest_s: float) -> tuple[Tick, ...]:
    """Seconds along the curve's lower edge."""
    return tuple(Tick(_x(value, largest_s), seconds(value)) for value in round_values(largest_s))


def share_ticks() -> tuple[Tick, ...]:
    """Shares along its left edge."""
    return tuple(Tick(_share_y(share), f"{100 * share:.0f} %") for share in (0.0, 0.25, 0.5, 0.75, 1.0))


def longest_s(series: Series) -> float:
    """How far a scale must reach for every finite recovery of the series."""
    values = [point.at_s for one in series.recoveries for point in one.curve]
    return max([*values, 1e-3]) * 1.08


def _picture(of: RecoveryOfTrials, trials: Sequence[Trial]) -> Picture:
    ended = [trial for trial in trials if trial.state != TrialState.PLANNED]
    faulty = [trial for trial in ended if not trial.sham]
    shams = [trial for trial in ended if trial.sham]
    places = len(faulty) + len(shams) + (_BETWEEN if shams else 0.0)
    step = (WIDTH - LEFT - RIGHT) / max(places, 1.0)
    top_s = max([*_heights(of.name, ended), 1e-3]) * 1.08
    dots = [
        _dot(trial, of.name, LEFT + step * (index + 0.5 + (_BETWEEN if trial.sham else 0.0)), top_s)
        for index, trial in enumerate([*faulty, *shams])
    ]
    interval = of.median_interval_s
    return Picture(
        name=of.name,
        dots=tuple(dots),
        ticks=tuple(Tick(_y(value, top_s), seconds(value)) for value in round_values(top_s)),
        median_y=None if of.median_s is None else _y(of.median_s, top_s),
        band=None if interval is None else (_y(interval[1], top_s), _y(interval[0], top_s)),
        sham_x=LEFT + step * (len(faulty) + _BETWEEN / 2) if shams else None,
        faults_end_x=LEFT + step * len(faulty),
    )


def _heights(name: str, trials: Sequence[Trial]) -> Iterator[float]:
    """Every finite second that the picture must reach."""
    for trial in trials:
        for value in (_value(trial, name), *(_interval(trial, name) or ())):
            if value is not None and math.isfinite(value):
                yield value


def _dot(trial: Trial, name: str, x: float, top_s: float) -> Dot:
    value, interval = _value(trial, name), _interval(trial, name)
    mark = "unknown" if value is None else "dot" if math.isfinite(value) else "censored"
    about = f"trial {trial.number}{', sham' if trial.sham else ''}: {sentences.recovery(trial, name)}"
    low, high = interval or (None, None)
    return Dot(
        x=x,
        y=HEIGHT - BOTTOM if value is None else _y(value, top_s),
        low_y=None if low is None else _y(low, top_s),
        high_y=None if high is None else _y(high, top_s),
        mark=mark,
        verdict=str(trial.verdict or "inconclusive"),
        sham=trial.sham,
        number=trial.number,
        about=about,
    )


def _value(trial: Trial, name: str) -> float | None:
    return trial.service_s if name == "service" else trial.capacity_s


def _interval(trial: Trial, name: str) -> tuple[float, float] | None:
    return trial.service_interval_s if name == "service" else trial.capacity_interval_s


def _y(value_s: float, top_s: float) -> float:
    share = min(1.0, value_s / top_s) if math.isfinite(value_s) else 1.0
    return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)


def _x(value_s: float, largest_s: float) -> float:
    return LEFT + min(1.0, value_s / largest_s) * (WIDTH - LEFT - RIGHT)


def _share_y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def round_values(largest: float) -> list[float]:
    """0 and some round values below the largest."""
    exponent = math.floor(math.log10(largest / _TICKS))
    step = next(
        factor * 10.0**exponent for factor in (1, 2, 5, 10) if factor * 10.0**exponent >= largest / _TICKS
    )
    return [float(plain(step * index)) for index in range(int(largest / step) + 1)]
