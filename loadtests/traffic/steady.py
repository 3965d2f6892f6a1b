"""The same requests one by one at an even rate: what is asked of a cluster to find out what it carries."""

from typing import Any

import numpy as np

from loadtests.plan import Plan
from loadtests.spec import LoadSpec
from loadtests.traffic.lengths import Lengths

_PERCENTS = (*range(0, 100, 5), 99, 100)
_ENOUGH = 5000
"""So many arrivals tell the lengths of all."""


def steady(spec: LoadSpec) -> dict[str, Any]:
    """Settings to change, so that a load has no bursts, sessions, parts or trace, and lengths as before.

    Raises:
        OSError: the trace of the load cannot be read.
        ValueError: it is no trace, or shorter than the load.
    """
    nothing = dict.fromkeys(("batch_every_s", "rate_profile", "sessions", "trace", "mix"))
    changes: dict[str, Any] = {"arrivals": "constant", "burstiness": 1.0, **nothing}
    if spec.sessions is None and spec.trace is None and spec.mix is None:
        return changes
    rate_per_s = min(spec.rate_per_s, _ENOUGH / spec.duration_s)
    arrivals = Plan.of(spec.but(rate_per_s=rate_per_s)).arrivals
    if not arrivals:
        return changes
    lengths = {
        name: _as_table([getattr(each, name) for each in arrivals])
        for name in ("prompt_tokens", "output_tokens")
    }
    return {**changes, **lengths, "length_scale": 1.0}


def _as_table(tokens: list[int]) -> Lengths:
    values = np.quantile(tokens, np.array(_PERCENTS) / 100, method="inverted_cdf")
    return Lengths(
        quantiles={f"p{percent}": int(value) for percent, value in zip(_PERCENTS, values, strict=True)}
    )
