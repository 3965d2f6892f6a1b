"""Rows of several processes: a file of each while the load lasts, followed as one, and one file in the end.

A process alone appends to the file of rows itself. Each worker of several appends to a part beside it, which bears the
worker's number: `requests.jsonl.0`, `requests.jsonl.1`, and so on.
"""

import glob
import os
from array import array
from collections.abc import Iterator
from pathlib import Path

from loadtests.rows import Row, from_line, read_rows

_BEGINNING = b'{"index":'


def part_path(rows: Path, worker: int) -> Path:
    """Where worker number `worker` writes its rows."""
    return rows.with_name(f"{rows.name}.{worker}")


def parts_of(rows: Path) -> list[Path]:
    """The parts that are there, by number."""
    beside = rows.parent.glob(f"{glob.escape(rows.name)}.*")
    numbers = {number: path for path in beside if (number := path.name[len(rows.name) + 1 :]).isdecimal()}
    return [numbers[number] for number in sorted(numbers, key=int)]


def remove_rows(rows: Path) -> None:
    """Remove the file and its parts: a new load begins."""
    for old in (rows, *parts_of(rows)):
        old.unlink(missing_ok=True)


def all_rows(rows: Path) -> Iterator[Row]:
    """Every complete row of the file and of its parts, each once; none where there is no file.

    Raises:
        OSError: a file cannot be read.
        ValueError: naming file and line, when a complete line is not a row.
    """
    seen: set[int] = set()
    for path in (rows, *parts_of(rows)):
        if path.exists():
            for row in read_rows(path):
                if row.index not in seen:
                    seen.add(row.index)
                    yield row


def merge_parts(rows: Path) -> None:
    """Put the rows of all parts into the file itself, by index, and remove the parts; harmless without any.

    A worker on another host leaves its part there: copy it beside the others and call this again. A part
    that a dying worker left counts as far as it goes, so the sum of rows tells what is missing.
    """
    parts = parts_of(rows)
    if not parts:
        return
    merged = rows.with_name(f".{rows.name}.merged")
    files = [path for path in (rows, *parts) if path.exists()]
    _write_by_index(files, merged)
    merged.replace(rows)  # at once: whoever follows the rows sees the parts, or all of them here
    for part in parts:
        part.unlink()


def _write_by_index(files: list[Path], merged: Path) -> None:
    """The lines of several files in one, by the index of their rows, each row once, and none taken apart."""
    places: dict[int, int] = {}
    begins, lengths, owners = array("q"), array("q"), array("q")
    for owner, path in enumerate(files):
        begin = 0
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):  # its writer died over it
                    break
                if places.setdefault(_index(path, number, line), len(begins)) == len(begins):
                    begins.append(begin)
                    lengths.append(len(line))
                    owners.append(owner)
                begin += len(line)
    readers = [path.open("rb") for path in files]
    with merged.open("wb") as out:
        for _, place in sorted(places.items()):
            reader = readers[owners[place]]
            reader.seek(begins[place])
            out.write(reader.read(lengths[place]))
    for reader in readers:
        reader.close()


def _index(path: Path, number: int, line: bytes) -> int:
    if line.startswith(_BEGINNING) and line.endswith(b"}\n"):
        digits, _, _ = line[len(_BEGINNING) :].partition(b",")
        if digits.isdigit():
            return int(digits)
    try:
        return from_line(line.decode()).index
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}:{number}: {error}") from error


class RowTail:
    """Follows the rows that other processes write, in one file or in parts; each row counts once, merged or not."""

    def __init__(self, path: Path) -> None:
        """No file need be there yet."""
        self._path = path
        self._read_bytes: dict[tuple[Path, int], int] = {}
        self._seen: set[int] = set()

    def new(self) -> list[Row]:
        """The rows that were completed since the last call, those of one process in order of their ends.

        Raises:
            ValueError: a line is no row.
        """
        fresh = []
        for path in (*parts_of(self._path), self._path):
            for row in self._completed(path):
                if row.index not in self._seen:
                    self._seen.add(row.index)
                    fresh.append(row)
        return fresh

    def _completed(self, path: Path) -> list[Row]:
        try:
            with path.open("rb") as rows:
                written = (
                    path,
                    os.fstat(rows.fileno()).st_ino,
                )  # another file by this name is read from its start
                begin = self._read_bytes.get(written, 0)
                rows.seek(begin)
                unread = rows.read()
        except FileNotFoundError:  # not there yet, or merged a moment ago
            return []
        whole = unread[: unread.rfind(b"\n") + 1]
        self._read_bytes[written] = begin + len(whole)
        return [from_line(line) for line in whole.decode().splitlines()]
