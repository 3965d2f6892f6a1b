"""A cluster as a queue whose slots are lost for a while: its rows, and what a request at any instant had to wait."""

import heapq
import math
from dataclasses import dataclass

import numpy as np

from benchmarks.ground_truth.columns import Columns, Frame
from benchmarks.ground_truth.truth import STEP_S, Floats, Service
from benchmarks.ground_truth.worlds import Queue
from chaos.measuring.objectives import Objectives
from loadtests.rows import OK

FIRST_TOKEN_S = 0.05
"""From a slot to the first token."""
TTFT_TIMEOUT_S = 10.0
_SPREAD = 0.3
"""Of the logarithm of the time that an answer takes a slot."""
FEWEST_SLOTS = 10


@dataclass(frozen=True, slots=True)
class Waits:
    """From `at_s[i]` on, until the next instant, a slot is free at `free_s[i]`."""

    at_s: Floats
    free_s: Floats


def slots_and_mean(queue: Queue, rate: float) -> tuple[int, float]:
    """Slots, and the mean time of an answer, so that the load is the queue's: answers take some 0.5 s to 2 s."""
    slots = max(FEWEST_SLOTS, math.ceil(rate / queue.load))
    return slots, slots * queue.load / rate


def queued(
    queue: Queue, rate: float, arrivals_s: Floats, length: Floats, frame: Frame
) -> tuple[Columns, Waits]:
    """Rows of first come, first served; `length` is standard normal, one for each arrival."""
    slots, mean_s = slots_and_mean(queue, rate)
    takes_s = _takes_s(mean_s, length)
    lost = round(queue.lost_share * slots)
    gone_s, back_s = frame.fault_s, frame.fault_s + queue.lost_s
    free_s: list[tuple[float, int]] = [(0.0, slot) for slot in range(slots)]
    dead: set[int] = set()
    begun: list[tuple[int, int]] = []
    first, ended = np.full(len(arrivals_s), np.nan), np.full(len(arrivals_s), np.nan)
    outcome = [OK] * len(arrivals_s)
    steps: list[tuple[float, float]] = [(0.0, 0.0)]
    for index, at_s in enumerate(arrivals_s.tolist()):
        if not dead and at_s >= gone_s:
            dead = set(range(lost))
            free_s = _without(free_s, dead, slots, back_s)
            steps.append((gone_s, max(gone_s, free_s[0][0])))
            _reset(begun, first, ended, outcome, dead, gone_s)
        begins_s = max(at_s, free_s[0][0])
        if begins_s - at_s > TTFT_TIMEOUT_S:
            outcome[index], ended[index] = "ttft_timeout", at_s + TTFT_TIMEOUT_S
            continue
        slot = free_s[0][1]
        first[index], ended[index] = (
            begins_s + FIRST_TOKEN_S,
            begins_s + max(takes_s[index], 2 * FIRST_TOKEN_S),
        )
        if begins_s < gone_s < ended[index] or not dead:
            begun.append((index, slot))
        heapq.heapreplace(free_s, (float(ended[index]), slot))
        steps.append((at_s, free_s[0][0]))
    at, free = np.array(steps).T
    return Columns(arrivals_s, arrivals_s + 0.0005, first, ended - 0.001, ended, outcome), Waits(at, free)


def steady_ttft_s(queue: Queue, rate: float, arrivals_s: Floats, length: Floats) -> Floats:
    """The same queue while nothing is lost, at a tenth of the cost: TTFT alone, nan where the client gave up."""
    slots, mean_s = slots_and_mean(queue, rate)
    takes_s = _takes_s(mean_s, length)
    free_s = [0.0] * slots
    waits_s = []
    for at_s, lasts_s in zip(arrivals_s.tolist(), takes_s, strict=True):
        begins_s = max(at_s, free_s[0])
        waits_s.append(begins_s - at_s)
        if begins_s - at_s <= TTFT_TIMEOUT_S:
            heapq.heapreplace(free_s, begins_s + max(lasts_s, 2 * FIRST_TOKEN_S))
    waited_s = np.array(waits_s)
    return np.where(waited_s > TTFT_TIMEOUT_S, np.nan, waited_s + FIRST_TOKEN_S)


def _takes_s(mean_s: float, length: Floats) -> list[float]:
    """How long each answer takes a slot."""
    taken: list[float] = (mean_s * np.exp(_SPREAD * length - _SPREAD**2 / 2)).tolist()
    return taken


def _without(
    free_s: list[tuple[float, int]], dead: set[int], slots: int, back_s: float
) -> list[tuple[float, int]]:
    """The slots once some are gone: those come back empty."""
    free = [(at_s, slot) for at_s, slot in free_s if slot not in dead]
    free += [(back_s, slot) for slot in sorted(dead) if slot < slots]
    heapq.heapify(free)
    return free


def _reset(
    begun: list[tuple[int, int]],
    first: Floats,
    ended: Floats,
    outcome: list[str],
    dead: set[int],
    gone_s: float,
) -> None:
    """Requests on lost slots, and those that wait for one, break off."""
    for index, slot in begun:
        if slot in dead and ended[index] > gone_s:
            outcome[index], ended[index] = "reset_mid_stream", gone_s + 0.002
            if first[index] > gone_s:
                outcome[index], first[index] = "reset_before_headers", np.nan


def queued_service(waits: Waits, frame: Frame, objectives: Objectives, disturbed_s: float) -> Service:
    """Whether a request would have been good, had it been planned at each instant of the queue as it was."""
    at_s = frame.fault_s + np.arange(0, frame.end_s - frame.fault_s, STEP_S)
    before_s = np.arange(frame.warmup_s, frame.fault_s, STEP_S)
    good = _good(waits, at_s, objectives.ttft_s)
    usual = float(_good(waits, before_s, objectives.ttft_s).mean())
    return Service(good, np.zeros_like(good), usual, 0.0, disturbed_s)


def _good(waits: Waits, at_s: Floats, bound_s: float) -> Floats:
    free_s = waits.free_s[np.searchsorted(waits.at_s, at_s, side="right") - 1]
    return np.asarray(np.maximum(free_s - at_s, 0) + FIRST_TOKEN_S <= bound_s, dtype=np.float64)
