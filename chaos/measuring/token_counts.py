"""Tokens that the server counted beside those that arrived: lost on the way, or sent twice.

Complete answers alone are compared: one that broke off has no count of its server. Defined in docs/measurement.md.
"""

import numpy as np

from chaos.measuring.columns import Columns, Ints
from chaos.measuring.measurements import Measurements

_UNCOUNTED = "no complete answer says how many tokens its server counted"


def lost_tokens(measurements: Measurements, places: Ints) -> tuple[int, int] | str:
    """Tokens counted and not arrived in these answers, and how many answers are compared; or why it is not known.

    An engine that puts several tokens into one event loses none: whether this one does shows where nothing is wrong.
    """
    rows = measurements.timeline.rows
    usual = measurements.evidence.within(measurements.phases[0].phase) if measurements.phases else places
    of_usual, of_these = _missing(rows, usual), _missing(rows, places)
    if not len(of_these):
        return _UNCOUNTED
    if np.any(of_usual > 0):
        fewer = int(np.sum(of_usual > 0))
        return (
            f"{fewer} of {len(of_usual)} answers of the {measurements.phases[0].phase.name} came in fewer events than "
            "tokens: the engine puts several into one, so that none can be missed"
        )
    return int(np.sum(np.maximum(of_these, 0))), len(of_these)


def doubled_tokens(rows: Columns, places: Ints) -> tuple[int, int] | str:
    """Events with text beyond the tokens that the server counted, and how many answers are compared; or why not."""
    found = _missing(rows, places)
    return (int(np.sum(np.maximum(-found, 0))), len(found)) if len(found) else _UNCOUNTED


def _missing(rows: Columns, places: Ints) -> Ints:
    """Of each complete answer with a count: tokens counted less events arrived, negative where more came."""
    counted = rows.usage_tokens[places]
    compared = rows.ok[places] & (counted > 0)
    return (counted[compared] - rows.tokens[places][compared]).astype(np.int64)
