"""Whether a run can decide what its experiment claims: said, and refused, before it costs anybody an outage."""

import math
from collections.abc import Iterator, Sequence

from chaos.assertions.grammar import Assertion
from chaos.assertions.term import Only
from chaos.errors import RefusedError
from chaos.experiment.experiment import Experiment
from chaos.experiment.file import ExperimentSpec
from chaos.measuring import design as measuring
from chaos.measuring.design import Design
from chaos.measuring.quantiles import needed_for_interval
from chaos.measuring.recovery_time import Criteria
from chaos.reading.documents import Problem
from chaos.reading.quantities import duration_text

_AFTER_S = 30.0
_AT_MOST = ("<=", "<")
_FROM_THE_FAULT = ("recovery.service", "recovery.first_touch")


def require_decidable(experiment: Experiment) -> None:
    """Refuse a design of which it is known beforehand that it is inconclusive.

    A rate that is a share of the capacity is not known yet: `require_decidable_at` asks again once it is.

    Raises:
        InputError: naming file, line, key path, value and what was expected, for every such claim.
    """
    rate_per_s = experiment.spec.load.rate_per_s
    if rate_per_s is None:
        return
    found = [*_problems(experiment.spec, experiment.assertions, rate_per_s)]
    if found:
        raise experiment.refusal(found)


def require_decidable_at(spec: ExperimentSpec, assertions: Sequence[Assertion]) -> None:
    """The same of a rate that was measured a moment ago; RefusedError with the first problem."""
    rate_per_s = spec.load.rate_per_s or 0.0
    for problem in _problems(spec, assertions, rate_per_s):
        where = ".".join(str(key) for key in problem.key_path)
        raise RefusedError(
            f"at the measured {rate_per_s:g} requests per second this cannot be decided: {where}: {problem.complaint}",
            hint="lengthen phases, or let the cluster carry more",
        )


def sentences(experiment: Experiment) -> Iterator[str]:
    """What the design can show, in plain words."""
    spec = experiment.spec
    rate_per_s = spec.load.rate_per_s
    if rate_per_s is None:
        yield "what it can show depends on the rate, which is measured on the running cluster"
        return
    if spec.observes:
        return
    shown = _of(spec, rate_per_s)
    criteria = _criteria(spec, rate_per_s)
    if shown.outage_s is not None:
        yield f"shows an outage of at least {_seconds(shown.outage_s)}" + (
            ""
            if shown.partial_loss is None
            else f", a loss of goodput of at least {shown.partial_loss:.0%} for {criteria.window_s:g} s"
        )
    yield f"proves a recovery {_seconds(shown.proof_s)} after its end at the earliest"
    after = int(rate_per_s * min(_AFTER_S, spec.phases.observe_s))
    held = [
        f"{claim} {where}"
        for where, claim in (
            (f"in the baseline ({shown.baseline} requests)", measuring.claims(shown.baseline)),
            (
                f"in the first {min(_AFTER_S, spec.phases.observe_s):g} s after the fault",
                measuring.claims(after),
            ),
        )
        if claim is not None
    ]
    if held:
        yield f"can claim {' and '.join(held)}"
    yield from _of_parts(spec, rate_per_s, shown)
    silence_s = spec.load.max_in_flight / rate_per_s
    if silence_s < spec.load.timeouts.ttft_s:
        yield (
            f"a silence of more than {_seconds(silence_s)} fills load.max_in_flight ({spec.load.max_in_flight}): what "
            "the client drops then makes the run inconclusive"
        )


def _of(spec: ExperimentSpec, rate_per_s: float) -> Design:
    phases = spec.phases
    criteria = _criteria(spec, rate_per_s)
    return measuring.design(rate_per_s, phases.baseline_s, phases.observe_s, spec.slo.e2e_s, criteria)


def _criteria(spec: ExperimentSpec, rate_per_s: float) -> Criteria:
    recovery = spec.recovery
    window_s = recovery.window_s
    if window_s is None:
        window_s = min(recovery.hold_s, measuring.window_s(rate_per_s))
    return Criteria(recovery.goodput, recovery.error_ratio, window_s, recovery.hold_s, recovery.within_s)


def _problems(spec: ExperimentSpec, assertions: Sequence[Assertion], rate_per_s: float) -> Iterator[Problem]:
    yield from _slo_problems(spec)
    if spec.observes:
        return
    shown = _of(spec, rate_per_s)
    if spec.phases.baseline_s <= spec.slo.e2e_s:
        complaint = f"expected above slo.e2e = {duration_text(spec.slo.e2e_s)}: what is in flight is not the baseline's"
        yield Problem(("phases", "baseline"), complaint, duration_text(spec.phases.baseline_s))
    elif shown.outage_s is None:
        complaint = (
            f"expected a longer baseline or a higher rate: {shown.baseline} requests cannot tell noise from a loss of "
            f"goodput of more than {1 - spec.recovery.goodput:.0%}"
        )
        yield Problem(("phases", "baseline"), complaint, duration_text(spec.phases.baseline_s))
    for index, assertion in enumerate(assertions):
        if undecidable := _undecidable(assertion, spec, shown):
            yield Problem(("assertions", index), undecidable, assertion.expression)


def _slo_problems(spec: ExperimentSpec) -> Iterator[Problem]:
    """What the client gives up earlier than it may take is never seen to be late."""
    timeouts = spec.load.timeouts
    for key, bound_s, name, given_up_s in (
        ("ttft", spec.slo.ttft_s, "load.timeouts.ttft", timeouts.ttft_s),
        ("e2e", spec.slo.e2e_s, "load.timeouts.deadline", timeouts.deadline_s),
    ):
        if bound_s > given_up_s:
            complaint = f"expected at most {name} = {duration_text(given_up_s)}: the client gives up before"
            yield Problem(("slo", key), complaint, duration_text(bound_s))


def _undecidable(assertion: Assertion, spec: ExperimentSpec, shown: Design) -> str | None:
    """Why a claim cannot come to `passed` however well the service does; None when it can."""
    term, bound = assertion.term, assertion.bound
    if term.percent is not None and not term.of_server and assertion.operator in _AT_MOST:
        expected = _expected(assertion, spec, shown)
        needed = needed_for_interval(term.percent)
        if expected is not None and expected < needed:
            whose = f" of {' and '.join(term.only.words)}" if term.only.words else ""
            return f"expected a plan of at least {needed} requests{whose} for {term.name}, there are about {expected}"
    if term.name in _FROM_THE_FAULT and assertion.operator in _AT_MOST:
        needed_s, within_s = math.ceil(10 * shown.proof_s) / 10, spec.recovery.within_s
        if term.name == "recovery.service" and bound < shown.proof_s:
            return f"expected at least {needed_s:g}s: so long requests must be good to prove it"
        if bound > within_s:
            return f"expected at most recovery.within = {duration_text(within_s)}: later is not waited for"
    return None


def _expected(assertion: Assertion, spec: ExperimentSpec, shown: Design) -> int | None:
    """How many requests a claim will rest on; None where that depends on what happens."""
    term = assertion.term
    share = spec.load.share_of(term.only.profile, term.only.tenant)
    if term.stretch is not None:
        return int(share * shown.rate_per_s * (term.stretch.to_s - term.stretch.from_s))
    whole = {"baseline": shown.baseline, "all": shown.baseline + shown.observed}.get(term.arguments[-1])
    return None if whole is None else int(share * whole)


def _of_parts(spec: ExperimentSpec, rate_per_s: float, shown: Design) -> Iterator[str]:
    """What can be claimed of each part of a mix, whose requests are fewer."""
    after_s = min(_AFTER_S, spec.phases.observe_s)
    for part in spec.load.mix or ():
        only = Only(part.profile, part.tenant)
        before, after = int(part.share * shown.baseline), int(part.share * rate_per_s * after_s)
        claims = [measuring.claims(number) or "no quantile" for number in (before, after)]
        yield (
            f"of {' and '.join(only.words) or 'the part without a name'}: {claims[0]} in the baseline ({before} "
            f"requests), {claims[1]} in the first {after_s:g} s after the fault ({after})"
        )


def _seconds(value_s: float) -> str:
    return f"{value_s:.2g} s" if value_s < 10 else f"{value_s:.0f} s"
