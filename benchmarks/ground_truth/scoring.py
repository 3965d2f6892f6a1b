"""What one run scores: what was stated beside what was true."""

import math
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.ground_truth.adapter import Stated, stated
from benchmarks.ground_truth.indicators import expected_counts, expected_ratios, true_baseline
from benchmarks.ground_truth.play import Run, play
from benchmarks.ground_truth.truth import Truth, recovery_truth
from benchmarks.ground_truth.worlds import WORLDS, World
from chaos.measuring.recovery_time import Criteria, Status
from chaos.record.verdict import Verdict

Task = tuple[str, float, int]
"""The name of a world, a rate and a seed."""
CRITERIA = Criteria(goodput=0.95, error_ratio=0.02, window_s=2.0, hold_s=5.0, within_s=30.0)
_FINEST_S = 0.002
"""An answer is dispatched, and a failure seen, so long after its planned instant: no interval is told more finely."""
_MARGIN = 0.005
"""A bound on a ratio lies so far beside the true one."""


@dataclass(frozen=True, slots=True)
class Score:
    """Of one run: how often what was right or wrong, by what it is about; and the numbers themselves."""

    world: str
    rate: float
    seed: int
    status: str
    value_s: float | None
    interval_s: tuple[float, float] | None
    truth: Truth
    unsound: tuple[str, ...]
    counts: Counter[str] = field(default_factory=Counter)
    """`recovery covered`, `recovery false pass`, `goodput false fail of`, and so on."""


def score_of(task: Task) -> Score:
    """Play, measure and compare one run; what a process of the pool is given."""
    name, rate, seed = task
    return score(WORLDS[name], rate, seed)


def score(world: World, rate: float, seed: int) -> Score:
    """Play, measure and compare one run."""
    run = play(world, rate, seed, CRITERIA)
    truth = recovery_truth(run.service, CRITERIA, harmed_in_flight=run.harmed > 0)
    said = stated(run, CRITERIA)
    result = Score(world.name, rate, seed, said.status, said.value_s, said.interval_s, truth, said.unsound)
    result.counts["runs"] = 1
    result.counts["unsound"] = bool(said.unsound)
    result.counts["unknown"] = said.interval_s is None
    _score_recovery(result, said)
    _score_counts(result, run, said)
    if "statistics" in world.scored:
        _score_baseline(result, run, said)
        _score_ratios(result, run, said)
    return result


def _score_recovery(result: Score, said: Stated) -> None:
    truth, counts = result.truth, result.counts
    if result.interval_s is not None and not said.unsound:
        low_s, high_s = result.interval_s
        counts["recovery intervals"] = 1
        counts["recovery covered"] = low_s - _FINEST_S <= truth.high_s and truth.low_s <= high_s + _FINEST_S
        counts["recovery too early"] = high_s + _FINEST_S < truth.low_s
        counts["false no impact"] = said.status is Status.NO_IMPACT and truth.impact
    low_bounds, high_bounds = _bounds(truth)
    verdicts = said.verdicts(f"recovery.service <= {bound_s:.6f}s" for bound_s in (*low_bounds, *high_bounds))
    below, above = verdicts[: len(low_bounds)], verdicts[len(low_bounds) :]
    _tell(counts, "recovery", below, above)


def _bounds(truth: Truth) -> tuple[list[float], list[float]]:
    """Bounds that the truth does not meet, and such as it meets."""
    if math.isinf(truth.low_s):
        return [5.0, 15.0, CRITERIA.within_s - 1], []
    if truth.high_s == 0:
        return [], [0.25, 1.0, 2.0, 5.0, 15.0]
    low = [bound_s for bound_s in (0.9 * truth.low_s, truth.low_s - 0.1) if bound_s > 0]
    high = [truth.high_s + 0.25, 1.1 * truth.high_s]
    return low, [bound_s for bound_s in high if bound_s < CRITERIA.within_s]


def _tell(counts: Counter[str], about: str, unmet: list[Verdict], met: list[Verdict]) -> None:
    """Count the verdicts on claims that are false, and on claims that are true."""
    counts[f"{about} false pass"] += sum(verdict is Verdict.PASSED for verdict in unmet)
    counts[f"{about} false pass of"] += len(unmet)
    counts[f"{about} false fail"] += sum(verdict is Verdict.DEVIATED for verdict in met)
    counts[f"{about} false fail of"] += len(met)
    counts[f"{about} inconclusive"] += sum(verdict is Verdict.INCONCLUSIVE for verdict in (*unmet, *met))


def _score_counts(result: Score, run: Run, said: Stated) -> None:
    lost = expected_counts(run)
    if lost is not None:
        result.counts["lost told"] = 1
        result.counts["lost right"] = said.measurements.lost_requests == lost


def _score_baseline(result: Score, run: Run, said: Stated) -> None:
    true = true_baseline(run.world, run.rate)
    if true is None:
        return
    counts = result.counts
    _cover(counts, "p99", said.interval_of("baseline", "ttft_p99_interval_s"), true.p99_s)
    _cover(counts, "baseline goodput", said.interval_of("baseline", "goodput_interval"), true.goodput)
    unmet = said.verdicts([f"p99(ttft, baseline) <= {true.share_above_2_s:.6f}s"])
    met = said.verdicts([f"p99(ttft, baseline) <= {true.share_above_half_s:.6f}s"])
    _tell(counts, "p99", unmet, met)


def _cover(counts: Counter[str], about: str, interval: tuple[float, float] | None, true: float) -> None:
    if interval is not None:
        counts[f"{about} intervals"] += 1
        counts[f"{about} covered"] += interval[0] - 1e-9 <= true <= interval[1] + 1e-9


def _score_ratios(result: Score, run: Run, said: Stated) -> None:
    """Goodput and errors of the fault phase, where one instant of a request decides both."""
    expected = expected_ratios(run, said.phase_end_s("fault"), said.requests_in("fault"))
    if expected is None:
        return
    goodput, errors = expected
    _cover(result.counts, "goodput", said.interval_of("fault", "goodput_interval"), goodput)
    unmet = [f"goodput(fault) >= {goodput + _MARGIN:.6f}"] if goodput + _MARGIN <= 1 else []
    met = [f"goodput(fault) >= {goodput - _MARGIN:.6f}"] if goodput >= _MARGIN else []
    _tell(result.counts, "goodput", said.verdicts(unmet), said.verdicts(met))
    if any(episode.how == "silent" for episode in run.world.episodes):
        return
    _cover(result.counts, "errors", said.interval_of("fault", "error_ratio_interval"), errors)
    unmet = [f"error_ratio(fault) <= {errors - _MARGIN:.6f}"] if errors >= _MARGIN else []
    met = [f"error_ratio(fault) <= {errors + _MARGIN:.6f}"] if errors + _MARGIN <= 1 else []
    _tell(result.counts, "errors", said.verdicts(unmet), said.verdicts(met))
