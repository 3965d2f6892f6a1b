"""Rows of the three published shapes of LLM traces, recognised by their first line.

| shape | first line | times |
|---|---|---|
| Azure LLM inference (2023, 2024) | `TIMESTAMP,ContextTokens,GeneratedTokens` | date and time, up to 100 ns |
| BurstGPT (1.0 to 1.2) | `Timestamp,...,Request tokens,Response tokens,...` | seconds, whole or not |
| Mooncake (FAST'25) | a JSON object with `timestamp`, `input_length`, `output_length` | milliseconds |

More columns, and the same ones in another order, are fine. A row that cannot be understood is an error with its line.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

MOONCAKE_BLOCK_TOKENS = 512
"""What one entry of Mooncake's `hash_ids` stands for."""


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One request of a trace."""

    line: int
    at_s: float
    """On the trace's own clock."""
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] | None = None
    """Of its prompt, where the trace names blocks: equal numbers are equal text."""


@dataclass(frozen=True, slots=True)
class _Csv:
    """One shape of CSV: the columns that matter, and how a time is read."""

    columns: tuple[str, str, str]
    seconds: Callable[[str], float]


def read_trace(path: Path) -> Iterator[TraceRow]:
    """The rows of a file, in its order; blank lines are passed over.

    Raises:
        OSError: it cannot be read.
        ValueError: naming file, line, what was found and what was expected.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            first = file.readline()
            file.seek(0)
            rows = _json_rows(file) if first.lstrip().startswith("{") else _csv_rows(file)
            yield from rows
        except _RowError as error:
            raise ValueError(f"{path}:{error}") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: expected UTF-8 text, {error}") from error


class _RowError(ValueError):
    """What is wrong with one line; begins with its number."""


def _json_rows(file: TextIO) -> Iterator[TraceRow]:
    for line, text in enumerate(file, start=1):
        if not text.strip():
            continue
        try:
            values = json.loads(text)
            numbers = [values[key] for key in ("timestamp", "input_length", "output_length")]
            blocks = values.get("hash_ids")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            expected = "a JSON object with timestamp, input_length and output_length"
            raise _RowError(f"{line}: expected {expected}, got {text.strip()[:120]!r}") from error
        if not all(type(number) in (int, float) for number in numbers):
            raise _RowError(f"{line}: expected numbers, got {text.strip()[:120]!r}")
        at_ms, prompt, output = numbers
        named = tuple(blocks) if isinstance(blocks, list) and blocks else None
        yield _row(line, at_ms / 1000, (str(prompt), str(output)), named)


def _csv_rows(file: TextIO) -> Iterator[TraceRow]:
    rows = csv.reader(file)
    header = next(rows, [])
    shape, places = _shape(header)
    for values in rows:
        if not any(values):
            continue
        line = rows.line_num
        if len(values) != len(header):
            raise _RowError(
                f"{line}: expected {len(header)} values, got {len(values)}: {','.join(values)[:120]!r}"
            )
        time, prompt, output = (values[place] for place in places)
        try:
            at_s = shape.seconds(time.strip())
        except ValueError as error:
            raise _RowError(f"{line}: expected in {shape.columns[0]} a time, got {time!r}") from error
        yield _row(line, at_s, (prompt, output), None)


def _shape(header: Sequence[str]) -> tuple[_Csv, list[int]]:
    names = [name.strip().lower() for name in header]
    for shape in _SHAPES:
        wanted = [column.lower() for column in shape.columns]
        if set(wanted) <= set(names):
            return shape, [names.index(name) for name in wanted]
    known = " or ".join(",".join(shape.columns) for shape in _SHAPES)
    raise _RowError(
        f"1: expected a header with {known}, or Mooncake's JSON lines, got {','.join(header)[:120]!r}"
    )


def _row(line: int, at_s: float, lengths: tuple[str, str], blocks: tuple[int, ...] | None) -> TraceRow:
    """A row whose numbers are possible ones."""
    if not 0 <= at_s < float("inf"):
        raise _RowError(f"{line}: expected a time from 0, got {at_s!r}")
    prompt, output = (_tokens(line, *each) for each in zip(("prompt", "answer"), lengths, strict=True))
    return TraceRow(line, at_s, prompt, output, blocks)


def _tokens(line: int, name: str, text: str) -> int:
    """A whole number, also one that is written as a fraction: `120.0`."""
    try:
        value = int(text) if text.isdecimal() else float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < 2**31 or value != int(value):
        raise _RowError(f"{line}: expected as tokens of the {name} a whole number from 0, got {text!r}")
    return int(value)


def _date_s(text: str) -> float:
    """Seconds of a date and time; digits beyond microseconds count, and no offset means UTC."""
    whole, point, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    at = datetime.fromisoformat(whole + rest[len(digits) :])
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return at.timestamp() + (float(f"0.{digits}") if point else 0.0)


_SHAPES = (
    _Csv(("TIMESTAMP", "ContextTokens", "GeneratedTokens"), _date_s),
    _Csv(("Timestamp", "Request tokens", "Response tokens"), float),
)
