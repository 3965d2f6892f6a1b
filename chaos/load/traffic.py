"""What the traffic of an experiment is like, told before anything is asked."""

from collections.abc import Iterator

from chaos.experiment.experiment import Experiment
from chaos.reading.quantities import CapacityShare
from loadtests.plan import Plan
from loadtests.spec import LoadSpec, Offered
from loadtests.traffic import traces
from loadtests.traffic.figures import Figures, figures, quantile

_NO_RATE_PER_S = 10.0
"""Where the rate is not known yet: what depends on it is then not told."""
_FEWEST_WINDOWS = 10
"""Of a length, to say how their counts differ."""


def told(experiment: Experiment) -> Iterator[str]:
    """A sentence about arrivals and lengths, by the plan that there would be, and one for each oddity of a trace."""
    load, duration_s = experiment.spec.load, experiment.spec.planned_s
    spec = LoadSpec(
        **{name: getattr(load, name) for name in Offered.model_fields},
        url="http://nobody",
        rate_per_s=load.rate_per_s or _NO_RATE_PER_S,
        seed=experiment.spec.seed or 0,
        duration_s=duration_s,
    )
    found = figures(Plan.of(spec), duration_s)
    rate = _rate(found) if load.rate_per_s else str(load.rate)
    yield "traffic: " + "; ".join([*_loop(found), rate, _lengths(found)])
    if isinstance(load.rate, CapacityShare) and load.rate_profile is not None:
        yield "traffic: the share of capacity is `rate`, which the rate profile multiplies"
    yield from notices(experiment)


def notices(experiment: Experiment) -> Iterator[str]:
    """What is odd in the trace that an experiment replays, each with its file and line."""
    trace = experiment.spec.load.trace
    if trace is not None:
        yield from (f"trace: {notice}" for notice in traces.window(trace).notices)


def loop_words(waiting: int, arrivals: int, sessions: int) -> str:
    """Whether a load is open loop, and what of it is not."""
    if not waiting:
        return "open loop"
    return f"partly open: {waiting} of {arrivals} requests, in {sessions} sessions, wait for the answer before them"


def _loop(found: Figures) -> Iterator[str]:
    yield loop_words(found.waiting, found.arrivals, found.sessions)


def _rate(found: Figures) -> str:
    if found.arrivals < 2:
        return f"{found.arrivals} arrivals"
    windows_s = [each for each in (1, 10, 60) if found.duration_s >= _FEWEST_WINDOWS * each]
    spread = ", ".join(f"{found.dispersion(each):.2g} in {each} s" for each in windows_s)
    return (
        f"{found.arrivals} arrivals, {found.rate_per_s:.3g}/s, at most {found.peak_per_s:.0f} in a second, "
        f"longest gap {found.longest_gap_s:.2g} s, CV {found.cv:.2f}"
        + (f", dispersion {spread}" if spread else "")
    )


def _lengths(found: Figures) -> str:
    """P50 and P99 of what is asked for, or the one number that all have."""
    if not found.arrivals:
        return "nothing is asked"
    said = []
    for name, tokens in (("prompts", found.prompt_tokens), ("answers", found.output_tokens)):
        p50, p99 = quantile(tokens, 50), quantile(tokens, 99)
        same = tokens.min() == tokens.max()
        said.append(f"{name} {p50}" if same else f"{name} P50 {p50}, P99 {p99}, longest {tokens.max()}")
    return ", ".join(said) + " tokens"
