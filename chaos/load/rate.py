"""The rate of a run: from a share of what the cluster carries to a number, and whether a given number is carried."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from chaos.assertions.grammar import Assertion
from chaos.display.progress import Progress
from chaos.errors import RefusedError
from chaos.experiment.claims import claims_need_s
from chaos.experiment.design import require_decidable_at
from chaos.experiment.experiment import Experiment, rewrite
from chaos.experiment.file import ExperimentSpec, MeasuredCapacity
from chaos.judging import judge
from chaos.load.capacity import MOST_PER_S, Capacity, Ramps
from chaos.load.config import load_config
from chaos.load.process import Load
from chaos.reading.quantities import CapacityShare
from chaos.report import story
from chaos.run_folder import RunFolder
from chaos.steady_state import overloaded
from chaos.targets import Target
from loadtests.rows import Row

_SUGGESTED = "60% of capacity"


def of(experiment: Experiment) -> float:
    """The rate of an experiment in which it is known."""
    rate_per_s = experiment.spec.load.rate_per_s
    assert rate_per_s is not None
    return rate_per_s


def known(
    experiment: Experiment, folder: RunFolder, target: Target, model: str, progress: Progress
) -> Experiment:
    """The experiment with a number as its rate, also in its file: measured where it is a share of the capacity.

    Raises:
        RefusedError: the cluster has no capacity within the objectives.
        InconclusiveError: it could not be measured.
    """
    share = experiment.spec.load.rate
    if not isinstance(share, CapacityShare):
        return experiment
    found = _ramps(experiment, folder, target, model, progress, MOST_PER_S).measure(
        "requests faster and faster, until they miss the objectives"
    )
    settled = settle(experiment.spec, experiment.assertions, share, found)
    require_decidable_at(settled, experiment.assertions)
    made_of = judge.made_of(settled, by_this_run=True)
    progress.note(story.rate_sentence(settled.load.rate_per_s, made_of))
    return rewrite(experiment, settled)


def settle(
    spec: ExperimentSpec, assertions: Iterable[Assertion], share: CapacityShare, found: Capacity
) -> ExperimentSpec:
    """The specification with the rate that a share of this capacity is, and a baseline that holds its claims."""
    made_of = {
        "measured": _three_digits(found.rate_per_s),
        "share": share.percent / 100,
        "at_least": found.at_least,
        "arrivals": found.arrivals,
        "took": f"{found.took_s:.1f}s",
    }
    return _at(
        spec, assertions, found.rate_per_s * share.percent / 100, MeasuredCapacity.model_validate(made_of)
    )


def settle_like(
    spec: ExperimentSpec, assertions: Iterable[Assertion], known: MeasuredCapacity
) -> ExperimentSpec:
    """The same for a cluster like one that was measured in another run; as it is where its rate is no share."""
    share = spec.load.rate
    if not isinstance(share, CapacityShare):
        return spec
    made_of = known.model_copy(update={"share": share.percent / 100, "baseline_grew_from_s": None})
    return _at(spec, assertions, known.measured * share.percent / 100, made_of)


def _at(
    spec: ExperimentSpec, assertions: Iterable[Assertion], exact_per_s: float, made_of: MeasuredCapacity
) -> ExperimentSpec:
    rate_per_s = _three_digits(exact_per_s)
    needed_s = claims_need_s(assertions, rate_per_s, spec.slo.e2e_s, spec.load.share_of)
    grows = needed_s > spec.phases.baseline_s
    if grows:
        made_of = made_of.model_copy(update={"baseline_grew_from_s": spec.phases.baseline_s})
    load = spec.load.model_copy(update={"rate": rate_per_s, "capacity": made_of})
    phases = spec.phases.model_copy(update={"baseline_s": needed_s} if grows else {})
    return spec.model_copy(update={"load": load, "phases": phases})


def require_carried(
    experiment: Experiment,
    folder: RunFolder,
    target: Target,
    load: Load,
    rows: Sequence[Row],
    progress: Progress,
) -> None:
    """Refuse a number as rate that the warm-up shows to be too much for the cluster, and say what it carries instead.

    Raises:
        RefusedError: naming rate, capacity and the line to change; the load was ended before.
    """
    spec, config = experiment.spec, load.config
    if folder.capacity_rows(1).is_file():
        return  # a share of what was measured a moment ago
    offsets_s = load.plan.offsets_s[: bisect_left(load.plan.offsets_s, spec.phases.warmup_s)]
    objectives, goodput = judge.objectives(spec), spec.recovery.goodput
    told = overloaded(rows, offsets_s, spec.phases.warmup_s, objectives, goodput, load.plan.waiting)
    if told is None:
        return
    load.close()
    load.wait(config.timeouts.deadline_s + config.drain_s)
    ramps = _ramps(experiment, folder, target, config.model, progress, config.rate_per_s)
    found = ramps.measure(f"{config.rate_per_s:g}/s is too much: what would not be?")
    raise _not_carried(experiment.rate_at, config.rate_per_s, told, found)


def _not_carried(rate_at: str, rate_per_s: float, told: str, found: Capacity) -> RefusedError:
    measured = f"{_three_digits(found.rate_per_s):g}/s"
    if found.at_least:
        return RefusedError(
            f"{rate_at}: load.rate: {rate_per_s:g}/s was not carried, nothing was injected: {told}; yet a ramp up to "
            f"that rate was carried right after it ({found.good} of {found.arrivals} requests)",
            hint="lengthen phases.warmup: the cluster is slow at first",
        )
    return RefusedError(
        f"{rate_at}: load.rate: the cluster does not carry {rate_per_s:g}/s, nothing was injected: {told}; measured "
        f"capacity within the objectives: {measured} ({found.arrivals} requests in {found.took_s:.0f} s)",
        hint=f"write there `rate: {_SUGGESTED}`, or a number well below {measured}",
    )


def _ramps(
    experiment: Experiment,
    folder: RunFolder,
    target: Target,
    model: str,
    progress: Progress,
    most_per_s: float,
) -> Ramps:
    return Ramps(
        load=load_config(experiment, folder, target, model, most_per_s),
        folder=folder,
        objectives=judge.objectives(experiment.spec),
        progress=progress,
        gateway_metrics_url=target.endpoints().gateway_metrics_url,
    )


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")
