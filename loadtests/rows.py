"""One row per planned arrival: what was asked, when each thing happened, and exactly one outcome.

Light on purpose: the load writes these rows, the analysis reads them, and nothing else passes between
the two. All stamps are seconds on the run clock: 0 is the first instant of the arrival plan, read off one
monotonic clock.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import msgspec

OK = "ok"
CLIENT_DROPPED = "client_dropped"
CENSORED = "censored"
_STATUSES = (400, 401, 403, 404, 408, 413, 422, 429, 503)
"""Of a refusal, those that are an outcome of their own: who is to mend it, and how, differs with them."""
OUTCOMES = (
    OK,
    *(f"http_{status}" for status in _STATUSES if status < 500),
    "http_3xx",
    "http_4xx",  # any other; in the rows of earlier versions all but 429
    "http_5xx",
    "http_503",
    "connect_refused",
    "connect_timeout",
    "dns",
    "reset_before_headers",
    "eof_before_headers",
    "ttft_timeout",
    "stall_timeout",
    "reset_mid_stream",
    "truncated",  # the stream ended without its terminal event
    "no_stream",  # the answer is something else than a stream of events
    "bad_event",
    "error_event",  # the server reported an error inside the stream
    "aborted",  # the stream ended in order, for a reason that is no complete answer: `abort`, or any unknown one
    "empty",  # a complete answer without a single token
    "short",  # fewer tokens than the request insisted on
    "deadline",
    CLIENT_DROPPED,  # the generator was at its limit of requests in flight: not the server's fault
    CENSORED,  # still in flight when the observation ended
)
SILENT_OUTCOMES = frozenset({"connect_timeout", "ttft_timeout", "stall_timeout", "deadline", CENSORED})
"""Outcomes that the client notices long after the service fell silent."""


def counted_as(outcome: str) -> tuple[str, ...]:
    """The outcomes that an assertion on this one counts: `http_4xx` is any refusal of that hundred but 429.

    That is what it was before 400 and its like had outcomes of their own, and what files of that time mean.
    """
    own = (name for name in OUTCOMES if name.startswith("http_4") and name not in (outcome, "http_429"))
    return (outcome, *own) if outcome == "http_4xx" else (outcome,)


def of_status(status: int) -> str:
    """The outcome of a refusal with this status: its own where it has one, else that of its hundred."""
    return f"http_{status}" if status in _STATUSES else f"http_{min(max(status // 100, 3), 5)}xx"


@dataclass(frozen=True, slots=True)
class Row:
    """The life of one planned arrival; a stamp that was never reached is None."""

    index: int
    intended_s: float
    outcome: str
    dispatched_s: float | None = None
    connected_s: float | None = None
    sent_s: float | None = None
    headers_s: float | None = None
    token_s: tuple[float, ...] = ()
    """One stamp per token event, in order."""
    ended_s: float | None = None
    """Terminal event, error or timeout."""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    """From the server's usage block, not counted from events."""
    status: int | None = None
    attempts: int | None = None
    """How many replicas the gateway tried; None when no gateway said so."""
    replica: str | None = None
    """The replica that answered, where the gateway names it."""
    error: str | None = None
    answer: str | None = None
    """Of a canary's complete answer: the number of its prompt, and a digest; `right` or `wrong` where that is known."""

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ValueError(f"outcome {self.outcome!r} is not one of {', '.join(OUTCOMES)}")

    @property
    def ok(self) -> bool:
        """Whether the answer came complete, terminal event included."""
        return self.outcome == OK

    @property
    def ttft_s(self) -> float | None:
        """First token minus intended start: what a user at the planned instant would have waited."""
        return self.token_s[0] - self.intended_s if self.token_s else None

    @property
    def e2e_s(self) -> float | None:
        """Terminal event minus intended start; None unless the request succeeded."""
        return self.ended_s - self.intended_s if self.ok and self.ended_s is not None else None

    @property
    def lag_s(self) -> float | None:
        """Dispatch minus intended start: the generator's own fault."""
        return self.dispatched_s - self.intended_s if self.dispatched_s is not None else None

    @property
    def itl_s(self) -> tuple[float, ...]:
        """Gaps between consecutive token events."""
        return tuple(b - a for a, b in zip(self.token_s, self.token_s[1:], strict=False))

    @property
    def tpot_s(self) -> float | None:
        """(last token - first token) / (output tokens - 1); None for fewer than two tokens."""
        count = self.output_tokens or len(self.token_s)
        return (
            (self.token_s[-1] - self.token_s[0]) / (count - 1)
            if count > 1 and len(self.token_s) > 1
            else None
        )

    @property
    def failed_at_s(self) -> float | None:
        """When a failed request failed: at its error, or, for silence, at the last progress that was seen."""
        if self.ok:
            return None
        if self.outcome not in SILENT_OUTCOMES and self.ended_s is not None:
            return self.ended_s
        progress = (*self.token_s, self.headers_s, self.sent_s, self.connected_s, self.dispatched_s)
        return max((stamp for stamp in progress if stamp is not None), default=self.intended_s)


_FIELDS = tuple(field.name for field in fields(Row))


def to_line(row: Row) -> str:
    """One JSON object, microsecond stamps, no newline."""
    stamped: dict[str, object] = {}
    for key in _FIELDS:
        value = getattr(row, key)
        if value is None or value == ():
            continue
        if type(value) is float:
            value = round(value, 6)
        elif type(value) is tuple:
            value = [round(stamp, 6) for stamp in value]
        stamped[key] = value
    return msgspec.json.encode(stamped).decode()


def from_line(line: str) -> Row:
    """The row of one line.

    Raises:
        ValueError: the line is not JSON, has an unknown key, lacks a required one, or an unknown outcome.
    """
    values: dict[str, Any] = json.loads(line)
    unknown = values.keys() - set(_FIELDS)
    missing = {"index", "intended_s", "outcome"} - values.keys()
    if unknown or missing:
        raise ValueError(f"row has unknown keys {sorted(unknown)}, lacks {sorted(missing)}")
    return Row(**{**values, "token_s": tuple(values.get("token_s", ()))})


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write a whole file of rows."""
    path.write_text("".join(to_line(row) + "\n" for row in rows))


def read_rows(path: Path) -> Iterator[Row]:
    """Every complete row of a file; a last line without its newline is still being written, and left out.

    Raises:
        ValueError: naming file and line number, when a complete line is not a row.
    """
    with path.open() as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return
            try:
                yield from_line(line)
            except (ValueError, TypeError) as error:
                raise ValueError(f"{path}:{number}: {error}") from error
