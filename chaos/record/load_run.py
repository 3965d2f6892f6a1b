"""The record of `aftershock load`: what a service did at each rate, and what the rates show together."""

import json
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, ValidationError

from chaos.errors import InputError
from chaos.record.entry import Entry, Number


class Latency(Entry):
    """A latency in seconds, over every planned arrival: a failure is infinitely slow ("inf")."""

    mean_s: Number | None = None
    """Of the complete answers."""
    p50_s: Number | None = None
    p90_s: Number | None = None
    p95_s: Number | None = None
    p99_s: Number | None = None


class Level(Entry):
    """One rate for a while; its warm-up is left out."""

    folder: str
    """Its run folder, below this file; `.` where it is the only one."""
    rate_per_s: Number
    """As planned."""
    lasts_s: Number
    """How long it was measured."""
    planned: int
    """Arrivals in that time."""
    ok: int
    """Those that were answered completely."""
    good: int
    """Those that were answered within every objective."""
    goodput: Number | None = None
    """Good per planned arrivals."""
    goodput_interval: tuple[Number, Number] | None = None
    """95 % interval."""
    requests_per_s: Number
    """Complete answers that ended, per second."""
    good_per_s: Number
    """Good arrivals per second."""
    output_tokens_per_s: Number
    """Tokens of the complete answers that ended, per second."""
    prompt_tokens_per_s: Number | None = None
    """Tokens of their prompts, where the server counts them."""
    in_flight: Number
    """Requests under way, on average."""
    lag_p99_s: Number | None = None
    """The generator's own lateness."""
    ttft: Latency
    """Time to first token, from the planned instant."""
    tpot: Latency
    """Time per output token after the first, of each answer."""
    itl: Latency
    """Gaps between tokens, all answers together."""
    e2e: Latency
    """To the end of the answer, from the planned instant."""
    outcomes: dict[str, int]
    """How many arrivals had which outcome."""
    carried: bool
    """Whether goodput was at least the goal."""
    decided: bool
    """Whether its requests are enough to say that of the service with 95 % confidence."""
    said: dict[str, int] = Field(default_factory=dict)
    """What the server said when it refused, keys and prompts left out, and how often."""
    unsound: list[str]
    """Why its figures say little, such as a generator that was late; empty where nothing speaks against them."""


class Objective(Entry):
    """What makes a request good, and how many are to be."""

    ttft_s: Number
    e2e_s: Number
    itl_s: Number | None = None
    """Bound of the largest gap between two tokens."""
    tpot_s: Number | None = None
    """Bound of the mean time per token after the first."""
    goal: Number
    """Least goodput of a rate that counts as carried."""


class LoadRun(Entry):
    """`performance.json`."""

    SCHEMA: ClassVar[Literal[1]] = 1

    schema_number: Literal[1] = Field(alias="schema")
    url: str
    """Without any key."""
    model: str
    started_at: str
    """UTC, ISO 8601."""
    seed: int
    objective: Objective
    levels: list[Level]
    """By rate."""
    highest_per_s: Number | None = None
    """The highest rate that was carried, together with every lower one that was tried."""
    knee_per_s: Number | None = None
    """Where good answers per second, by the mean time of one, are at their most: beyond, latency grows faster than
    throughput. Null where no rate beyond it was tried."""
    ended_early: str | None = None
    """Why no further rate was tried, where that was not the plan."""
    versions: dict[str, str]

    @property
    def text(self) -> str:
        """The document."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=2) + "\n"


def read_load_run(path: Path) -> LoadRun:
    """Read it back.

    Raises:
        InputError: the file is missing or is none.
    """
    try:
        return LoadRun.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{path}: not the record of a load: {error}") from error
