"""How fast tokens came, second by second: those that arrived, the time per token of an answer, gaps between tokens.

Defined in docs/measurement.md.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from chaos.measuring.columns import Columns, Floats, Ints
from chaos.measuring.spread import Spread, spread


def tokens_arrived(rows: Columns, seconds: int) -> Ints:
    """How many token events reached clients in each second of the run."""
    whole = np.floor(rows.token_s[rows.token_s >= 0]).astype(np.int64)
    return np.bincount(whole, minlength=seconds)[:seconds]


def time_per_token(rows: Columns, seconds: int) -> Iterator[Spread | None]:
    """Of the answers planned in each second, failures as +inf; None where none has one."""
    values = rows.tpot_s
    known = ~np.isnan(values)
    return _by_second(rows.intended_s[known], values[known], seconds)


def gaps(rows: Columns, seconds: int) -> Iterator[Spread | None]:
    """Of the gaps that a token ended in each second: one that never ended is in none."""
    ended_s, gap_s = rows.ended_gaps
    return _by_second(ended_s, gap_s, seconds)


def _by_second(at_s: Floats, values: Floats, seconds: int) -> Iterator[Spread | None]:
    order = np.argsort(at_s, kind="stable")
    bounds = np.searchsorted(at_s[order], np.arange(seconds + 1)).tolist()
    for first, beyond in pairwise(bounds):
        yield spread(values[order[first:beyond]])
