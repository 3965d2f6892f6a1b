"""Rows on disk the moment their requests end, and the summary of a run beside them."""

import json
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from loadtests.plan import Arrival
from loadtests.rows import CENSORED, CLIENT_DROPPED, Row, to_line

_LAG_PERCENTILES = {"p50": 50, "p99": 99, "max": 100}


class Recorder:
    """Gives every planned arrival exactly one row; what has none when it closes is `censored`."""

    def __init__(
        self,
        arrivals: Iterable[Arrival],
        path: Path | None,
        on_row: Callable[[Row], None] = lambda _: None,
    ) -> None:
        """Without a path rows only go to `on_row`."""
        self._pending = {arrival.index: arrival.at_s for arrival in arrivals}
        # One write each: a row is out within microseconds, and a killed process leaves whole rows.
        self._file = path.open("wb", buffering=0) if path else None
        self._on_row = on_row
        self._counts = Counter[str]()
        self._lags_s = array("d")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for index, intended_s in list(self._pending.items()):
            self.append(Row(index, intended_s, CENSORED))
        if self._file:
            self._file.close()

    def append(self, row: Row) -> None:
        """Write one row. Raises KeyError for an arrival that was not planned or already has its row."""
        del self._pending[row.index]
        if self._file:
            self._file.write(f"{to_line(row)}\n".encode())
        self._counts[row.outcome] += 1
        if row.lag_s is not None:
            self._lags_s.append(row.lag_s)
        self._on_row(row)

    def report(self) -> dict[str, Any]:
        """What a worker tells its master of its rows, so that nobody has to read them again."""
        return {"outcomes": dict(self._counts), "lags_s": self._lags_s.tobytes()}


def lag_quantiles(name: str, lags_s: Sequence[float]) -> dict[str, float | None]:
    """p50, p99 and the maximum by rank ceil(q * n), as seconds; None without samples."""
    ordered = sorted(lags_s)
    ranks = {key: -(-percent * len(ordered) // 100) for key, percent in _LAG_PERCENTILES.items()}
    return {
        f"{name}_{key}_s": round(ordered[rank - 1], 6) if ordered else None for key, rank in ranks.items()
    }


def summarise(rows: Iterable[Row]) -> dict[str, Any]:
    """What the rows say about the generator itself: rows, dispatch lag, arrivals dropped and censored."""
    every = list(rows)
    return {
        "rows": len(every),
        "dropped": sum(row.outcome == CLIENT_DROPPED for row in every),
        "censored": sum(row.outcome == CENSORED for row in every),
        "lag": lag_quantiles("dispatch", [row.lag_s for row in every if row.lag_s is not None]),
    }


def added_up(reports: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What `summarise` says of the rows that several recorders wrote, from their reports."""
    counts, lags_s = Counter[str](), array("d")
    for report in reports:
        counts.update(report["outcomes"])
        lags_s.frombytes(report["lags_s"])
    return {
        "rows": counts.total(),
        "dropped": counts[CLIENT_DROPPED],
        "censored": counts[CENSORED],
        "lag": lag_quantiles("dispatch", lags_s),
    }


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """Replace the file in one step, so that a reader sees the old summary or the new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(summary, indent=2) + "\n")
    fresh.replace(path)
