"""Answers to canaries that are wrong: not what was given as right, or not what the healthy service says."""

from collections import Counter

import numpy as np

from chaos.measuring.columns import Columns, Ints
from chaos.measuring.measurements import Measurements
from loadtests.canaries import RIGHT, WRONG


def wrong_answers(measurements: Measurements, places: Ints) -> tuple[int, int] | str:
    """Wrong answers among the complete ones to canaries, and how many those are; or why that is not known.

    What is right was given with the canary, or is what its answers in the baseline all say: where they do not agree,
    the service gives no equal answers to equal questions, and none of them can be told to be wrong.
    """
    rows = measurements.timeline.rows
    asked = _answers(rows, places)
    if not asked:
        return "no request of a canary had a complete answer (load.canaries)"
    usual = _answers(rows, measurements.evidence.within(measurements.phases[0].phase))
    right = _right(usual)
    for number in {number for number, said in asked if said not in (RIGHT, WRONG)}:
        of_it = right.get(number, Counter())
        if len(of_it) != 1:
            differ = f"its {of_it.total()} answers in the baseline are {len(of_it)} different ones"
            return f"canary {number}: {differ if of_it else 'it had no complete answer in the baseline'}"
    wrong = sum(said == WRONG or (said != RIGHT and said not in right[number]) for number, said in asked)
    return wrong, len(asked)


def _right(answers: list[tuple[int, str]]) -> dict[int, Counter[str]]:
    """How often which answer came, by the number of its canary."""
    found: dict[int, Counter[str]] = {}
    for number, said in answers:
        found.setdefault(number, Counter())[said] += 1
    return found


def _answers(rows: Columns, places: Ints) -> list[tuple[int, str]]:
    """The number of each canary that was answered, and what was kept of the answer."""
    kept = rows.answer[places]
    found = (rows.answers[place].split(":", 1) for place in kept[np.greater_equal(kept, 0)])
    return [(int(number), said) for number, said in found]
