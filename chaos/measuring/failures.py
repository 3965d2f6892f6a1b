"""What failures have in common: the words with which servers refused, and the age at which they were cut."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from chaos.measuring.columns import CODES, Columns
from loadtests.rows import OUTCOMES

_CUT = (
    "truncated",
    "reset_mid_stream",
    "error_event",
    "aborted",
    "reset_before_headers",
    "eof_before_headers",
    "http_5xx",
    "http_503",
    "http_408",
)
"""Ends that somebody else than the client set."""
_FEWEST = 8
"""Of one age, before that is no coincidence."""
_MOST_OF_THEM, _LONGER_AT_MOST = 0.5, 0.25
"""So large a part of the cut ones has that age; so few answers, for each of those, came well at it or later."""
_LEAST_AGE_S = 0.5
"""What fails sooner was refused, not waited for."""
_WIDTH_S, _WIDTH = 0.1, 0.02
"""How far apart ages of one deadline may lie: in seconds, or in parts of the age."""
_MOST_WORDS = 12


@dataclass(frozen=True, slots=True)
class Refusal:
    """Requests that failed in one way with one explanation."""

    outcome: str
    words: str
    """Of the server, without keys and prompts (`loadtests.refusals`)."""
    count: int


@dataclass(frozen=True, slots=True)
class CommonAge:
    """Failures of one age."""

    age_s: float
    """The median, from when they were sent."""
    count: int
    cut: int
    """Requests that somebody else than the client cut."""


def refusals(rows: Columns) -> tuple[Refusal, ...]:
    """The server's words with their counts, the most frequent first; rare ones beyond a dozen are left out."""
    spoken = np.flatnonzero(rows.said >= 0)
    found = Counter(zip(rows.outcome[spoken].tolist(), rows.said[spoken].tolist(), strict=True))
    return tuple(
        Refusal(OUTCOMES[outcome], rows.words[place], count)
        for (outcome, place), count in found.most_common(_MOST_WORDS)
    )


def common_age(rows: Columns) -> CommonAge | None:
    """The age at which most of the cut requests were cut, however their instants were spread; None where there is none.

    A fault cuts requests of any age at one instant, a deadline requests of one age at any instant. Where answers come
    well at that age and later, it is no deadline.
    """
    cut = np.isin(rows.outcome, [CODES[name] for name in _CUT])
    ages_s = rows.ended_s - rows.sent_s
    old = np.flatnonzero(cut & (ages_s >= _LEAST_AGE_S))
    if len(old) < _FEWEST:
        return None
    old = old[np.argsort(ages_s[old])]
    ordered = ages_s[old]
    beyond = np.searchsorted(ordered, ordered + np.maximum(_WIDTH_S, _WIDTH * ordered), side="right")
    first = int(np.argmax(beyond - np.arange(len(old))))
    alike = old[first : beyond[first]]
    width_s = max(_WIDTH_S, _WIDTH * float(ordered[first]))
    apart = float(np.ptp(rows.ended_s[alike]))
    longer = int(np.sum(rows.ok & (ages_s >= ordered[first])))
    count, every = len(alike), int(np.sum(cut))
    if (
        count < max(_FEWEST, _MOST_OF_THEM * every)
        or apart < 10 * width_s
        or longer > _LONGER_AT_MOST * count
    ):
        return None
    return CommonAge(float(np.median(ages_s[alike])), count, every)
