"""Partly-open sessions: they begin at planned instants, and each turn leaves some time after the answer to the last.

The beginnings are open loop. The turns inside are not: whoever waits for an answer sends nothing meanwhile, so a
service that falls silent is asked less by the sessions that are under way, though not by new ones (Schroeder,
Wierman and Harchol-Balter 2006, "Open versus closed: a cautionary tale"). The plan says of a later turn `think_s`, and
as its instant the earliest one, which it would have if answers took no time.

A plan begins in the middle of things: sessions that began before its first instant take part from their next turn on,
with the context that they would have by then, so that the rate is the declared one from the start.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import Field

from loadtests.declared import Count, Declared, Seconds
from loadtests.traffic.lengths import Lengths, TokenCount, draw, mean_of

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


class Sessions(Declared):
    """Conversations in place of single requests."""

    turns: TokenCount
    """requests of a session: a number, or a distribution as for lengths"""
    think_s: Seconds
    """from the end of an answer to the next turn"""
    think_times: Literal["exponential", "fixed"] = "exponential"
    """whether that is the mean of random times, or the time itself"""
    lengths: Literal["message", "prompt"] = "message"
    """of `prompt_tokens`: those of each new message, all that was said before on top; or those of each whole prompt"""
    system_prompt_tokens: Annotated[int, Field(ge=0)] = 0
    """what every session begins with"""
    system_prompts: Count = 1
    """how many different ones there are; each session has one of them"""


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns of all sessions within a plan, in order of their instants; a column each."""

    at_s: Array
    prompt_tokens: Array
    output_tokens: Array
    shared_tokens: Array
    prefix: Array
    session: Array
    turn: Array
    think_s: tuple[float | None, ...]
    """None for the first turn that lies in the plan: it leaves at its instant."""


@dataclass(frozen=True, slots=True)
class Draws:
    """What turns are made of: lengths, their scale, and the random numbers for each purpose."""

    prompt: int | Lengths
    output: int | Lengths
    scale: float
    prompts: np.random.Generator
    outputs: np.random.Generator
    random: np.random.Generator


def lookback_s(sessions: Sessions) -> float:
    """How long before a plan a session may have begun that still goes on in it: all but one in a thousand."""
    turns = sessions.turns
    most = float(turns) if isinstance(turns, int) else float(turns.at(np.array([0.999]))[0])
    # A sum of exponential times: its mean and four standard deviations.
    waits = max(most - 1, 0.0)
    return sessions.think_s * (waits + (4 * np.sqrt(waits) if sessions.think_times == "exponential" else 0.0))


def turns_of(sessions: Sessions, starts_s: Array, duration_s: float, draws: Draws) -> Turns:
    """Every turn in [0, duration) of the sessions that begin at these instants, negative ones included."""
    counts = draw(sessions.turns, len(starts_s), draws.random)
    whole = int(counts.sum())
    session = np.repeat(np.arange(len(counts)), counts)
    first = np.concatenate(([0], np.cumsum(counts)[:-1])) if len(counts) else counts
    turn = np.arange(whole) - first[session]
    prefix = draws.random.integers(0, sessions.system_prompts, len(counts))
    think_s = np.full(whole, sessions.think_s)
    if sessions.think_times == "exponential":
        think_s *= draws.random.standard_exponential(whole)
    think_s = np.where(turn == 0, 0.0, np.round(think_s, 6))
    at_s = np.round(starts_s[session] + _sums_within(think_s, first, session), 9)
    output = draw(draws.output, whole, draws.outputs, draws.scale)
    shared = round(sessions.system_prompt_tokens * draws.scale)
    prompt = _contexts(
        sessions.lengths, shared, draw(draws.prompt, whole, draws.prompts, draws.scale), output, counts
    )
    inside = np.flatnonzero((at_s >= 0) & (at_s < duration_s))
    order = inside[np.argsort(at_s[inside], kind="stable")]
    opening = np.zeros(whole, dtype=bool)
    opening[inside[np.unique(session[inside], return_index=True)[1]]] = True
    numbers = np.zeros(len(counts), dtype=np.int64)
    numbers[np.unique(session[inside])] = np.arange(len(np.unique(session[inside])))
    return Turns(
        at_s=at_s[order],
        prompt_tokens=prompt[order],
        output_tokens=output[order],
        shared_tokens=np.minimum(prompt[order], shared),
        prefix=prefix[session[order]],
        session=numbers[session[order]],
        turn=turn[order],
        think_s=tuple(
            None if opens else think
            for opens, think in zip(opening[order].tolist(), think_s[order].tolist(), strict=True)
        ),
    )


def mean_turns(sessions: Sessions) -> float:
    """Of a session."""
    return mean_of(sessions.turns)


def _sums_within(values: Array, first: Array, session: Array) -> Array:
    """Of each value and those before it in its session; `first` is where each session begins, at a value of 0."""
    sums = np.cumsum(values)
    return sums - sums[first][session] if len(values) else sums


def _contexts(
    lengths: Literal["message", "prompt"], shared: int, drawn: Array, output: Array, counts: Array
) -> Array:
    """The whole prompt of each turn: it holds all that was said before it, prompts and answers."""
    prompts = np.empty_like(drawn)
    begin = 0
    for number in counts.tolist():
        part = slice(begin, begin + number)
        messages, answers = drawn[part], output[part]
        said = np.concatenate(([0], np.cumsum(answers)[:-1]))
        if lengths == "message":
            prompts[part] = shared + np.cumsum(messages) + said
        else:
            # The running maximum of (wanted - said) keeps each prompt longer than the last one and its answer.
            room = np.sort(messages) - said - np.arange(number)
            prompts[part] = np.maximum.accumulate(room) + said + np.arange(number)
        begin += number
    return prompts
