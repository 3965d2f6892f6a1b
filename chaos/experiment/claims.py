"""How long a baseline must be for what is claimed of it."""

import math
from collections.abc import Iterable

from chaos.experiment.assertions import Assertion
from chaos.measuring.design import requests_s
from chaos.measuring.quantiles import needed_for_interval


def claims_need_s(assertions: Iterable[Assertion], rate_per_s: float, e2e_s: float) -> float:
    """Whole seconds of baseline in which enough requests arrive for every quantile that is asserted on it.

    Its last end-to-end bound does not count: what arrives there may be in flight when the fault strikes.
    """
    needed = max(
        (
            needed_for_interval(one.term.percent)
            for one in assertions
            if one.term.percent is not None and one.term.arguments[-1] == "baseline"
        ),
        default=0,
    )
    return math.ceil(requests_s(needed, rate_per_s) + e2e_s) if needed else 0.0
