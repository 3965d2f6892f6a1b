"""The rows of a run's folder, read as columns: some 4 microseconds a row, a few megabytes of objects at a time."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import msgspec
import numpy as np

from chaos.measuring.columns import CODES, Columns, in_order, joined, taken, unordered
from loadtests.parts import parts_of
from loadtests.rows import Row

_CHUNK_BYTES = 8 << 20


class _Line(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A line of the file: it has what a `loadtests.rows.Row` has, without the checks that cost time."""

    index: int
    intended_s: float
    outcome: str
    dispatched_s: float | None = None
    connected_s: float | None = None
    sent_s: float | None = None
    headers_s: float | None = None
    token_s: tuple[float, ...] = ()
    ended_s: float | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    status: int | None = None
    attempts: int | None = None
    replica: str | None = None
    error: str | None = None
    answer: str | None = None


def read_columns(path: Path) -> Columns:
    """The complete rows of a file and of its parts; while those are not merged yet, each arrival once.

    Raises:
        OSError: a file cannot be read.
        ValueError: naming file and line, when a complete line is not a row.
    """
    parts = parts_of(path)
    files = [each for each in (path, *parts) if each.exists()]
    with _without_collector():
        found = joined([unordered(cast("Sequence[Row]", lines)) for each in files for lines in _chunks(each)])
    if parts:
        _, first = np.unique(found.index, return_index=True)
        found = taken(found, np.sort(first))
    return in_order(found)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Millions of short-lived objects without a cycle among them: looking for one is a third of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _chunks(path: Path) -> Iterator[Sequence[_Line]]:
    decoder, number, rest = msgspec.json.Decoder(_Line), 0, b""
    with path.open("rb") as rows:
        while block := rows.read(_CHUNK_BYTES):
            whole, _, rest = (rest + block).rpartition(b"\n")
            try:
                lines = decoder.decode_lines(whole)
                _require_known(lines)
            except ValueError:
                raise _misread(path, whole, number, decoder) from None
            number += whole.count(b"\n") + 1 if whole else 0
            yield lines


def _require_known(lines: Sequence[_Line]) -> None:
    for line in lines:
        if line.outcome not in CODES:
            raise ValueError(f"outcome {line.outcome!r} is not one of {', '.join(CODES)}")


def _misread(path: Path, whole: bytes, before: int, decoder: "msgspec.json.Decoder[_Line]") -> ValueError:
    """The error of the first line that is no row."""
    for number, line in enumerate(whole.split(b"\n"), start=before + 1):
        try:
            _require_known([decoder.decode(line)])
        except ValueError as error:
            return ValueError(f"{path}:{number}: {error}")
    return ValueError(f"{path}: no rows")
