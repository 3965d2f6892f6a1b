"""Replay of a recorded trace: a window of it, at a speed, with what is odd in it said.

What cannot be understood is an error (`loadtests.traffic.trace_formats`). What can, and is odd, is replayed in the one
way that is told here, and counted in a notice that names the first line: rows out of order are put in order, lengths
of 0 become 1 token, and several rows at one instant leave together unless `spread_s` says otherwise.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from loadtests.declared import Declared, Seconds, SecondsOrZero
from loadtests.traffic.streams import Purpose, stream
from loadtests.traffic.trace_formats import MOONCAKE_BLOCK_TOKENS, TraceRow, read_trace

_FEW = 0.1
"""A head of the window with less than this share of its mean rate is sparse."""
_HEAD = 0.1
"""How much of the window is its head."""
_LATE_S = 60.0
"""How long after its end a window is read on for rows that are out of order."""
_TOGETHER = 0.05
"""From this share of rows at one instant with another on, it is worth a notice."""


class Trace(Declared):
    """A recorded trace to replay: its instants and its lengths."""

    file: Annotated[Path, Field(strict=False)]
    """in the shape of the Azure, BurstGPT or Mooncake traces; relative to the experiment's file"""
    from_s: SecondsOrZero = 0.0
    """where the window begins, after the trace's first row"""
    to_s: Seconds | None = None
    """where the window ends, and reading, a minute later; absent: where the trace does"""
    speed: Annotated[float, Field(gt=0)] = 1.0
    """2 plays two minutes of the trace in one"""
    spread_s: SecondsOrZero = 0.0
    """each row leaves up to so much later, at random: for traces whose times are rounded"""


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of a window, in order, and what was odd in them."""

    rows: Sequence[TraceRow]
    """Their instants from the beginning of the window."""
    lasts_s: float
    """Of the trace's own time."""
    notices: tuple[str, ...]
    ends: tuple[int, int]
    """Lines of the first and the last row in time that were read, from which the window is measured."""

    @property
    def rate_per_s(self) -> float:
        """Mean rate, on the trace's own clock."""
        return len(self.rows) / self.lasts_s


def window(trace: Trace) -> Window:
    """What of the trace is to be replayed.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no trace, all of it is one instant, or nothing lies in the window.
    """
    return _read(trace.file, trace.from_s, trace.to_s)


def replay(trace: Trace, duration_s: float, seed: int, scale: float) -> Mapping[str, Sequence[Any]]:
    """The columns of a plan of this length.

    Raises:
        OSError: the trace cannot be read.
        ValueError: it is none, or its window is over before the plan is.
    """
    rows = _played(trace, duration_s)
    at_s = np.array([row.at_s for row in rows]) / trace.speed
    if trace.spread_s:
        at_s = at_s + stream(seed, Purpose.SPREAD).random(len(rows)) * trace.spread_s
    order = np.argsort(at_s, kind="stable")
    order = order[at_s[order] < duration_s]
    chosen = [rows[place] for place in order.tolist()]
    named = any(row.blocks is not None for row in chosen)
    return {
        "at_s": np.round(at_s[order], 9).tolist(),
        "prompt_tokens": [max(1, round(row.prompt_tokens * scale)) for row in chosen],
        "output_tokens": [max(1, round(row.output_tokens * scale)) for row in chosen],
        **({"blocks": [row.blocks for row in chosen]} if named else {}),
        **({"block_tokens": [max(1, round(MOONCAKE_BLOCK_TOKENS * scale))] * len(chosen)} if named else {}),
    }


def extract(trace: Trace, duration_s: float, path: Path) -> None:
    """Write those lines of a trace that a replay of this length needs: the same replay can be made of them.

    Those are its head, its first row in time, from which the window counts, its last, and the rows that are played.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: as `replay`.
    """
    lines = {1, *window(trace).ends, *(row.line for row in _played(trace, duration_s))}
    with trace.file.open("rb") as file:
        chosen = [line for number, line in enumerate(file, start=1) if number in lines]
    path.write_bytes(b"".join(chosen))


def _played(trace: Trace, duration_s: float) -> list[TraceRow]:
    """The rows that a plan of this length begins within."""
    found = window(trace)
    needed_s = duration_s * trace.speed
    if found.lasts_s < needed_s:
        raise ValueError(
            f"{trace.file}: the window lasts {found.lasts_s:g} s, the load {duration_s:g} s at speed {trace.speed:g} "
            f"needs {needed_s:g} s: begin earlier, or play slower"
        )
    return [row for row in found.rows if row.at_s < needed_s]


def _read(path: Path, from_s: float, to_s: float | None) -> Window:
    state = path.stat()
    return _window(path, from_s, to_s, (state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=4)
def _window(path: Path, from_s: float, to_s: float | None, _state: tuple[int, int]) -> Window:
    """Kept for whoever asks again: a trace is read for its rate, its checks and its plan."""
    rows = list(_up_to(read_trace(path), math.inf if to_s is None else to_s + _LATE_S))
    if not rows:
        raise ValueError(f"{path}: expected at least one row, got none")
    notices = [*_disorder(rows), *_empties(rows)]
    rows.sort(key=lambda row: row.at_s)
    zero_s, whole_s = rows[0].at_s, rows[-1].at_s - rows[0].at_s
    if not whole_s:
        raise ValueError(
            f"{path}:{rows[0].line}: expected times that go on, got {rows[0].at_s:g} s in every row"
        )
    ends_s = whole_s if to_s is None else min(to_s, whole_s)
    inside = [
        TraceRow(
            row.line, round(row.at_s - zero_s - from_s, 9), row.prompt_tokens, row.output_tokens, row.blocks
        )
        for row in rows
        if from_s <= row.at_s - zero_s <= ends_s
    ]
    if not inside or ends_s <= from_s:
        raise ValueError(
            f"{path}: nothing lies from {from_s:g} s to {ends_s:g} s; the trace lasts {whole_s:g} s"
        )
    notices += [*_together(inside), *_sparse(inside, ends_s - from_s)]
    told = tuple(f"{path}:{notice}" for notice in notices)
    return Window(inside, ends_s - from_s, told, (rows[0].line, rows[-1].line))


def _up_to(rows: Iterable[TraceRow], ends_s: float) -> Iterator[TraceRow]:
    """Rows until one is later than the first by more: a trace may be of a week, and a window of minutes."""
    begins_s = math.nan
    for row in rows:
        begins_s = row.at_s if math.isnan(begins_s) else begins_s
        if row.at_s - begins_s > ends_s:
            return
        yield row


def _disorder(rows: Sequence[TraceRow]) -> list[str]:
    late = [later.line for earlier, later in pairwise(rows) if later.at_s < earlier.at_s]
    return [f"{late[0]}: earlier than the row before; {_count(late)} put in order"] if late else []


def _empties(rows: Sequence[TraceRow]) -> list[str]:
    prompts = [row.line for row in rows if not row.prompt_tokens]
    answers = [row.line for row in rows if not row.output_tokens]
    return [
        f"{lines[0]}: {what} of 0 tokens; {_count(lines)} asked with 1"
        for what, lines in (("a prompt", prompts), ("an answer", answers))
        if lines
    ]


def _together(rows: Sequence[TraceRow]) -> list[str]:
    same = [later.line for earlier, later in pairwise(rows) if later.at_s == earlier.at_s]
    if len(same) < _TOGETHER * len(rows):
        return []
    steps_s = [later.at_s - earlier.at_s for earlier, later in pairwise(rows) if later.at_s > earlier.at_s]
    said = f"{_count(same)} of {len(rows)} leave together, every {np.median(steps_s):.3g} s"
    return [f"{same[0]}: at the instant of the row before; {said}: `spread` takes them apart"]


def _sparse(rows: Sequence[TraceRow], lasts_s: float) -> list[str]:
    head_s = _HEAD * lasts_s
    head = [row for row in rows if row.at_s < head_s]
    if len(rows) * _HEAD < 10 or len(head) >= _FEW * _HEAD * len(rows):
        return []
    dense = rows[len(head)]
    said = f"{len(head)} of {len(rows)} rows in the first {head_s:.3g} s of the window"
    return [f"{rows[0].line}: a sparse head: {said}; line {dense.line} is {dense.at_s:.6g} s into it"]


def _count(lines: Sequence[int]) -> str:
    return f"{len(lines)} row{'s' * (len(lines) != 1)}"
