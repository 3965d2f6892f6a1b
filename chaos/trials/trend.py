"""Series and runs of one experiment over time, and whether the last of them differs from those before."""

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.measuring.quantiles import quantile, quantile_interval
from chaos.record.comparison import Difference, Side
from chaos.record.trials import Trial
from chaos.trials.comparison import MEASURES, differences, side
from chaos.trials.loading import Sample, changes


@dataclass(frozen=True, slots=True)
class Middle:
    """One recovery over the trials of a point: its median, and the median's interval where there are trials for one."""

    median_s: float | None
    interval_s: tuple[float, float] | None
    within_s: float | None
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """One series or run."""

    side: Side
    trials: tuple[Trial, ...]
    service: Middle
    capacity: Middle
    changes: tuple[str, ...]
    """In what it is unlike the one before it."""


@dataclass(frozen=True, slots=True)
class Trend:
    """All of them, the oldest first."""

    experiment: str
    points: tuple[Point, ...]
    last: tuple[Difference, ...]
    """The last (B) against all trials before it (A), as if those were of one kind; empty for a single point."""


def trend(samples: Sequence[Sample], names: Sequence[str] = tuple(MEASURES)) -> Trend:
    """What samples of one experiment show over time.

    Args:
        samples: the oldest first.
        names: of the measures in which the last is compared with those before.
    """
    points = tuple(
        Point(
            side(sample),
            sample.trials,
            _middle("service", sample.trials),
            _middle("capacity", sample.trials),
            changes(samples[index - 1], sample) if index else (),
        )
        for index, sample in enumerate(samples)
    )
    before = [trial for sample in samples[:-1] for trial in sample.trials]
    last = differences(before, samples[-1].trials, names) if before else ()
    return Trend(samples[-1].experiment, points, last)


def _middle(name: str, trials: Sequence[Trial]) -> Middle:
    ordered = sorted(value for trial in trials if (value := MEASURES[name].of(trial)) is not None)
    watched = [trial.within_s for trial in trials if trial.within_s is not None]
    median_s = quantile(ordered, 50) if ordered else None
    return Middle(median_s, quantile_interval(ordered, 50), min(watched, default=None), tuple(ordered))
