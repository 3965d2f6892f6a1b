"""What of an experiment's claims cannot be seen on its target or in its load, and how long a baseline they need."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from chaos.assertions.grammar import Assertion
from chaos.assertions.term import LABELS, Only
from chaos.experiment.file import ExperimentSpec, Load
from chaos.measuring.design import requests_s
from chaos.measuring.quantiles import needed_for_interval
from chaos.reading.documents import Problem
from chaos.reading.strict import suggestion


def _everybody(_: str | None, __: str | None) -> float:
    return 1.0


def claims_need_s(
    assertions: Iterable[Assertion],
    rate_per_s: float,
    e2e_s: float,
    share_of: Callable[[str | None, str | None], float] = _everybody,
) -> float:
    """Whole seconds of baseline in which enough requests arrive for every quantile that is asserted on it.

    Its last end-to-end bound does not count: what arrives there may be in flight when the fault strikes.

    Args:
        assertions: of the experiment.
        rate_per_s: of all its traffic.
        e2e_s: the end-to-end bound.
        share_of: which share of the traffic is of a profile and of a tenant, None standing for any.
    """
    needed_s = max(
        (
            requests_s(needed_for_interval(one.term.percent), share * rate_per_s)
            for one in assertions
            if one.term.percent is not None
            and not one.term.of_server
            and one.term.arguments[-1] == "baseline"
            and (share := share_of(one.term.only.profile, one.term.only.tenant))
        ),
        default=0.0,
    )
    return math.ceil(needed_s + e2e_s) if needed_s else 0.0


def claim_problems(spec: ExperimentSpec, assertions: Sequence[Assertion]) -> Iterator[Problem]:
    """What is asserted of replicas, of Prometheus or of a part of the traffic where there is none such."""
    target = spec.target.chosen
    if len(assertions) < len(spec.assertions):
        return
    for index, assertion in enumerate(assertions):
        complaints = []
        if assertion.term.needs_prometheus and not target.has_prometheus:
            complaints.append("expected a target with a Prometheus: this one has none")
        if assertion.term.kind.of_replicas and not target.sees_replicas:
            complaints.append(f"expected no claim about replicas: the target {target.kind} cannot see them")
        if assertion.term.kind.of_canaries and spec.load.canaries is None:
            complaints.append("expected load.canaries: without them nobody knows what is right")
        complaints += _of_unknown_parts(assertion.term.only, spec.load)
        for complaint in complaints:
            yield Problem(("assertions", index), complaint, assertion.expression)


def _of_unknown_parts(only: Only, load: Load) -> Iterator[str]:
    """What is wrong with the part of the traffic that a claim is about."""
    unknown = False
    for label in LABELS:
        name, known = getattr(only, label), load.labels(label)
        if name is None or name in known:
            continue
        unknown = True
        if known:
            yield f"expected a {label} of this load ({', '.join(known)}), not {name!r}{suggestion(name, known)}"
        else:
            yield f"expected no {label}, not {name!r}: load.mix names those of a load, and this one has none"
    if not unknown and not load.share_of(only.profile, only.tenant):
        yield f"expected a part of load.mix, and none is of {' and '.join(only.words)}"
