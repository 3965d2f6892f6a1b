"""Disturbances in words: when goodput fell, for how long, what became of the requests, and when it was back."""

from collections.abc import Mapping, Sequence
from typing import Any

from chaos.measuring.disturbances import SLOW
from chaos.report.words import count, seconds, share

Journal = Mapping[str, Any]
_MOST_OUTCOMES = 4


def of_run(journal: Journal) -> Sequence[Mapping[str, Any]]:
    """Every disturbance of a run; none where they were not looked for, as in the journals of earlier versions."""
    return journal.get("disturbances") or ()


def finding(journal: Journal) -> str:
    """What an observation found, in a clause."""
    if journal.get("disturbances") is None:
        return f"disturbances could not be looked for: {journal.get('disturbances_reason')}"
    found = of_run(journal)
    observed_s = journal["load"]["plan_end_s"] - journal["load"]["warmup_s"]
    if not found:
        return f"nothing disturbed the service in the {seconds(observed_s)} that it was observed"
    if len(found) == 1:
        return sentence(journal, found[0])
    longest = max(found, key=lambda one: one["length_s"])
    return f"{len(found)} disturbances in {seconds(observed_s)}, of which the longest: {sentence(journal, longest)}"


def sentence(journal: Journal, one: Mapping[str, Any]) -> str:
    """One disturbance from its beginning to its end."""
    return f"goodput fell at {_instant(one['start_s'])} for {_length(one)}: {toll(one)}; {_end(journal, one)}"


def lines(journal: Journal) -> list[str]:
    """Each disturbance in short; none where the finding has told the only one."""
    found = of_run(journal)
    if len(found) < 2:
        return []
    return [f"{_instant(one['start_s'])}, for {_length(one)}: {toll(one)}" for one in found]


def toll(one: Mapping[str, Any]) -> str:
    """How many requests it cost, and what became of them: `41 of 60 requests failed (connect_refused 30, ...)`."""
    outcomes = one["outcomes"]
    ordered = sorted(outcomes.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{name} {n}" for name, n in ordered[:_MOST_OUTCOMES]]
    more = ["..."] if len(ordered) > _MOST_OUTCOMES else []
    word = (
        "were too slow" if set(outcomes) == {SLOW} else "failed" if SLOW not in outcomes else "were not good"
    )
    detail = "" if word == "were too slow" else f" ({', '.join([*named, *more])})"
    return f"{one['bad']:,} of {count(one['arrivals'], 'request')} {word}{detail}"


def rows(journal: Journal) -> list[tuple[str, str, str, str]]:
    """Of each disturbance: when it began, how long it was, what it cost, and when goodput was back."""
    return [
        (_instant(one["start_s"]), _length(one), toll(one), _end(journal, one)) for one in of_run(journal)
    ]


def _length(one: Mapping[str, Any]) -> str:
    at_least = "" if one["ended_s"] is not None else "at least "
    length_s = one["length_s"]
    if one["ended_s"] is None and one["good_again_s"] is not None:
        length_s = one["good_again_s"] - one["start_s"]
    return f"{at_least}{seconds(length_s)}"


def _end(journal: Journal, one: Mapping[str, Any]) -> str:
    if one["ended_s"] is None and one["good_again_s"] is None:
        return "it went on when the observation ended"
    recovery = journal["recovery"]
    back = f"back to {share(recovery['goodput'])} of its usual level"
    hold = f"for {seconds(recovery['hold_s'])}"
    if one["ended_s"] is None:
        return f"{back} from {_instant(one['good_again_s'])} on, but the observation ended before it had been so {hold}"
    return f"{back} {hold} from {_instant(one['ended_s'])} on"


def _instant(at_s: float) -> str:
    return f"{at_s:.1f} s"
