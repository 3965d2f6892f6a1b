"""A Prometheus and the few queries that a run asks it.

Prometheus explains a run, it never decides one (DESIGN: records decide). Two facts of its versions 2.42 to
3.5 to know: the first scrape, and every change of targets, takes up to five seconds; and 3.x range selectors
leave out their left edge, so windows should span at least four scrapes.
"""

import json
import math
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.errors import InconclusiveError
from exporters.fetch import FetchError, fetch

SCRAPE_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class WallClock:
    """The wall clock's distance from the monotonic one, read once: no later step of it tears a run."""

    offset_s: float

    @classmethod
    def now(cls) -> "WallClock":
        """Read both clocks."""
        return cls(time.time() - time.monotonic())

    def wall_s(self, monotonic_s: float) -> float:
        """Unix seconds of a monotonic stamp."""
        return monotonic_s + self.offset_s

    def monotonic_s(self, wall_s: float) -> float:
        """The monotonic stamp of Unix seconds."""
        return wall_s - self.offset_s


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer; times are Unix seconds, values may be NaN or infinite."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    @property
    def value(self) -> float:
        """The last value: the only one of an instant query."""
        return self.points[-1][1] if self.points else math.nan


class PrometheusClient:
    """Asks one server. Every question names its own time: asked again later, it has the same answer."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s

    def instant(self, query: str, at_wall_s: float) -> list[Series]:
        """The query's value at one time (Unix seconds), one point per series.

        Raises:
            InconclusiveError: the server cannot be reached or refuses the query.
        """
        result = self._ask("query", {"query": query, "time": f"{at_wall_s:.3f}"})
        return [Series(row["metric"], (_point(row["value"]),)) for row in result]

    def range(self, query: str, start_wall_s: float, end_wall_s: float, step_s: float) -> list[Series]:
        """The query's values from start to end (Unix seconds), one per step; at most 11,000 per series.

        Raises:
            InconclusiveError: the server cannot be reached or refuses the query.
        """
        window = {"start": f"{start_wall_s:.3f}", "end": f"{end_wall_s:.3f}", "step": f"{step_s:.3f}"}
        result = self._ask("query_range", {"query": query, **window})
        return [Series(row["metric"], tuple(map(_point, row["values"]))) for row in result]

    def reload(self) -> None:
        """Have the server read its configuration and rules again; it goes on as before when they are wrong.

        Raises:
            InconclusiveError: it cannot be reached, or does not take them.
        """
        request = urllib.request.Request(f"{self._url}/-/reload", method="POST")  # noqa: S310 - http(s), checked where it was read
        try:
            fetch(request, self._timeout_s)
        except FetchError as error:
            if error.status is not None:
                raise InconclusiveError(f"Prometheus does not take its rules: {error.said}") from error
            raise InconclusiveError(f"Prometheus did not reload: {error}") from error

    def _ask(self, endpoint: str, fields: Mapping[str, str]) -> list[dict[str, Any]]:
        # By POST: queries may be longer than a URL may be.
        request = urllib.request.Request(  # noqa: S310 - as above
            f"{self._url}/api/v1/{endpoint}", data=urllib.parse.urlencode(fields).encode()
        )
        query = fields["query"]
        try:
            data = json.loads(fetch(request, self._timeout_s))["data"]
            kind, result = data["resultType"], list(data["result"])
        except FetchError as error:
            if error.status is not None:
                raise InconclusiveError(f"Prometheus refused {query!r}: {error.said}") from error
            raise InconclusiveError(f"Prometheus did not answer {query!r}: {error}") from error
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise InconclusiveError(
                f"Prometheus did not answer {query!r}, but something else: {error}"
            ) from error
        if kind not in ("vector", "matrix"):
            raise InconclusiveError(f"{query!r} is a {kind}, not a set of series")
        return result


def _point(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
