"""What each request is evidence of: good or bad, at which instant, and whether it says anything about the service.

One rule for the instant, for goodput and errors alike: a request counts when it was planned, and one that was in flight
when a fault struck counts then. Defined in docs/measurement.md.
"""

from dataclasses import dataclass

import numpy as np

from chaos.measuring.columns import CODES, Columns, Flags, Floats, Ints
from chaos.measuring.objectives import Objectives
from chaos.measuring.timeline import Phase, Timeline
from loadtests.rows import CENSORED, CLIENT_DROPPED

LATE_SHARE = 0.05
"""An arrival that leaves later than this share of the TTFT bound is late by its generator."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The requests of a run; every column is beside those of `rows`, in order of planned instants."""

    rows: Columns
    good: Flags
    """Answered completely and within every objective."""
    failed: Flags
    """Not answered completely."""
    unknown: Flags
    """Bad, but dropped or sent late by the generator: no word about the service."""
    decided_s: Floats
    """From when on it was known to be good or bad: its end, or the first bound that it missed."""
    at_s: Floats
    """Where it counts: its planned instant, or the start of the latest fault that struck it in flight."""
    order: Ints
    """Places of the rows by `at_s`, and by planned instant among equals."""

    def within(self, phase: Phase) -> Ints:
        """The places of the requests that count in a phase, in the order of their instants."""
        return self.between(phase.start_s, phase.end_s)

    def between(self, start_s: float, end_s: float) -> Ints:
        """The places of those that count in [start_s, end_s), in the order of their instants."""
        first, beyond = np.searchsorted(self.at_s, (start_s, end_s), sorter=self.order)
        return self.order[first : max(first, beyond)]


def evidence(timeline: Timeline, objectives: Objectives) -> Evidence:
    """Read every request against the objectives and the faults."""
    rows = timeline.rows
    good, decided_s = decisions(rows, objectives)
    at_s = rows.intended_s.copy()
    for start_s in sorted(fault.started_s for fault in timeline.faults):
        struck = (rows.intended_s < start_s) & (decided_s > start_s)
        at_s[struck] = start_s
    late = ~(rows.lag_s <= LATE_SHARE * objectives.ttft_s) & ~np.isnan(rows.dispatched_s)
    late |= _stamped_late(timeline, objectives)
    dropped = rows.outcome == CODES[CLIENT_DROPPED]
    return Evidence(
        rows=rows,
        good=good,
        failed=~rows.ok,
        unknown=~good & (late | dropped),
        decided_s=decided_s,
        at_s=at_s,
        order=np.argsort(at_s, kind="stable"),
    )


def decisions(rows: Columns, objectives: Objectives) -> tuple[Flags, Floats]:
    """Which requests are good, and from when on each was known to be good or bad."""
    good = np.logical_and.reduce([*met(rows, objectives).values()])
    first_s, planned_s = rows.first_token_s, rows.intended_s
    missed_s = [
        np.where(_taken_s(first_s, planned_s) <= objectives.ttft_s, np.inf, planned_s + objectives.ttft_s),
        np.where(_taken_s(rows.ended_s, planned_s) <= objectives.e2e_s, np.inf, planned_s + objectives.e2e_s),
    ]
    if objectives.itl_s is not None:
        gap_s = _gap_above_s(rows, objectives.itl_s)
        # What failed in silence behind a token: its gap was too wide long before the client gave up.
        silent_s = np.where(~rows.ok & (rows.tokens > 0), rows.last_token_s + objectives.itl_s, np.inf)
        missed_s += [np.where(np.isnan(gap_s), np.inf, gap_s), silent_s]
    # A mean time per token is known at the end alone: how many tokens there will be is known to nobody before.
    ended_s = np.where(np.isnan(rows.ended_s), np.inf, rows.ended_s)
    never_sent = np.isnan(rows.dispatched_s)
    decided_s = np.where(good, ended_s, np.minimum.reduce([ended_s, *missed_s]))
    return good, np.where(never_sent, planned_s, decided_s)


def met(rows: Columns, objectives: Objectives) -> dict[str, Flags]:
    """By name of each objective, which requests met it: a failure meets none, an answer without a gap any of gaps."""
    taken_s = {"ttft": rows.first_token_s, "e2e": rows.ended_s}
    bounds_s = {"ttft": objectives.ttft_s, "e2e": objectives.e2e_s}
    found = {
        name: rows.ok & (_taken_s(taken_s[name], rows.intended_s) <= bound_s)
        for name, bound_s in bounds_s.items()
    }
    if objectives.itl_s is not None:
        found["itl"] = rows.ok & np.isnan(_gap_above_s(rows, objectives.itl_s))
    if objectives.tpot_s is not None:
        tpot_s = rows.tpot_s
        found["tpot"] = rows.ok & (np.isnan(tpot_s) | (np.round(tpot_s, 9) <= objectives.tpot_s))
    return found | {"availability": rows.ok}


def _taken_s(until_s: Floats, since_s: Floats) -> Floats:
    """Differences of stamps carry the noise of floats: 0.3 s must not exceed 300 ms."""
    return np.round(until_s - since_s, 9)


def _gap_above_s(rows: Columns, bound_s: float) -> Floats:
    return rows.first_gap_above(round(bound_s, 9) + 5e-10)


def _stamped_late(timeline: Timeline, objectives: Objectives) -> Flags:
    """What was answered, and would be good if its generator had not stood still: its stamps had to wait for that."""
    rows = timeline.rows
    to_first_s, to_end_s = np.zeros(len(rows)), np.zeros(len(rows))
    for start_s, length_s in timeline.stalls:
        if length_s <= LATE_SHARE * objectives.ttft_s:
            continue
        begins_s = np.maximum(rows.intended_s, start_s)
        to_first_s += np.clip(np.minimum(rows.first_token_s, start_s + length_s) - begins_s, 0, None)
        to_end_s += np.clip(np.minimum(rows.ended_s, start_s + length_s) - begins_s, 0, None)
    stood = rows.ok & (to_end_s > 0)
    in_time = rows.first_token_s - rows.intended_s - to_first_s <= objectives.ttft_s
    found: Flags = stood & in_time & (rows.ended_s - rows.intended_s - to_end_s <= objectives.e2e_s)
    return found


def baseline_end_s(found: Evidence, fault_s: float) -> float:
    """Up to where every request was decided when the first fault struck: later ones would be the short ones alone."""
    undecided = (found.rows.intended_s < fault_s) & (found.decided_s > fault_s)
    return float(np.min(found.rows.intended_s[undecided], initial=fault_s))


def observed_until_s(timeline: Timeline, objectives: Objectives) -> float:
    """Up to when every arrival is known to be good or bad.

    A censored request is known to be bad once its end-to-end bound has passed; the first one cut off earlier
    ends the observation.
    """
    rows = timeline.rows
    until_s = np.where(np.isnan(rows.ended_s), timeline.plan_end_s, rows.ended_s)
    cut_off = (rows.outcome == CODES[CENSORED]) & (until_s - rows.intended_s <= objectives.e2e_s)
    return float(np.min(rows.intended_s[cut_off], initial=timeline.plan_end_s))
