"""The arrival plan: which request leaves at which instant, as a pure function of the load and as a file.

The file has one JSON object per arrival, in order of their instants. Whoever writes it knows what will be asked before
anything is; whoever has it can ask the same again. What an arrival does not say is left out of its line, so that a
later kind of load can say more of its own without changing the files that are there.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any, Self

from loadtests.spec import LoadSpec, too_many
from loadtests.traffic.columns import columns
from loadtests.traffic.mix import is_name


@dataclass(frozen=True, slots=True)
class Arrival:
    """One planned request."""

    index: int
    """Its place in the plan, from 0."""
    at_s: float
    """When it leaves, in seconds after the first instant of the plan."""
    prompt_tokens: int
    output_tokens: int
    """How many are asked for."""
    seed: int
    """Of its prompt, which is a function of what the arrival says (`loadtests.prompts`)."""
    shared_tokens: int | None = None
    """How many of its prompt's tokens others begin with too; None: half of them."""
    prefix: int | None = None
    """Which of several such beginnings it has; None where there is one."""
    session: int | None = None
    """The conversation that it is a turn of."""
    turn: int | None = None
    """Which one, from 0."""
    think_s: float | None = None
    """It leaves this long after the end of the session's turn before, `at_s` being the earliest instant that this
    can be; None: it leaves at `at_s`."""
    blocks: tuple[int, ...] | None = None
    """Of its prompt: equal numbers are equal text, `block_tokens` of it each."""
    block_tokens: int | None = None
    profile: str | None = None
    """The kind of traffic that it is of, where a load has several."""
    tenant: str | None = None
    """Whose it is, where a load has several."""

    @property
    def line(self) -> str:
        """As one JSON object without a newline; its instant is exact, to the last bit."""
        # Numbers, written as `json` would, several times as fast: a plan may have a million lines.
        said = [f'"{key}":{value!r}' for key in _NUMBERS if (value := getattr(self, key)) is not None]
        if self.blocks is not None:
            said.append(f'"blocks":[{",".join(map(repr, self.blocks))}]')
        said += [f'"{key}":"{value}"' for key in _NAMES if (value := getattr(self, key)) is not None]
        return f"{{{','.join(said)}}}"


_FIELDS = tuple(field.name for field in fields(Arrival))
_NAMES = ("profile", "tenant")
_NUMBERS = tuple(name for name in _FIELDS if name not in ("blocks", *_NAMES))
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(_FIELDS, (int,)),
    "at_s": (int, float),
    "think_s": (int, float),
    "blocks": (tuple,),
    **dict.fromkeys(_NAMES, (str,)),
}


@dataclass(frozen=True)
class Plan:
    """All arrivals of a load. Raises ValueError when they are not numbered from 0, or not in order of instants >= 0."""

    arrivals: tuple[Arrival, ...]

    def __post_init__(self) -> None:
        for index, arrival in enumerate(self.arrivals):
            if arrival.index != index:
                raise ValueError(f"arrival {arrival.index} stands where {index} belongs")
        if not all(later.at_s >= earlier.at_s for earlier, later in pairwise(self.arrivals)):
            raise ValueError("the arrivals are not in order of their instants")
        if self.arrivals and not self.arrivals[0].at_s >= 0:
            raise ValueError(f"the first arrival is at {self.arrivals[0].at_s!r} s")
        _require_sessions(self.arrivals)

    @classmethod
    def of(cls, spec: LoadSpec) -> Self:
        """The plan that a load describes; up to some 20 microseconds an arrival.

        Raises:
            OSError: the trace of the load cannot be read.
            ValueError: it is no trace, or shorter than the load; there are too many arrivals to keep.
        """
        if (expected := too_many(spec.rate_per_s, spec.duration_s)) is not None:
            raise ValueError(f"--rate: expected {expected}, not {spec.rate_per_s}")
        said = columns(spec)
        number = len(said["at_s"])
        values: list[Iterable[Any]] = [said.get(name, repeat(None)) for name in _FIELDS[1:]]
        values[_FIELDS.index("seed") - 1] = repeat(spec.seed)
        return cls(tuple(map(Arrival, range(number), *values)))

    @classmethod
    def read(cls, path: Path) -> Self:
        """The plan of a file.

        Raises:
            OSError: it cannot be read.
            ValueError: naming the file, and the line where one is no arrival.
        """
        try:
            return cls(tuple(_read(path)))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def write(self, path: Path) -> None:
        """Replace the file in one step: whoever reads it sees no half of a plan."""
        fresh = path.with_name(f".{path.name}.fresh")
        fresh.write_text(self._text)
        fresh.replace(path)

    @cached_property
    def sha256(self) -> str:
        """Of the file: equal hashes mean equal plans."""
        return hashlib.sha256(self._text.encode()).hexdigest()

    @cached_property
    def offsets_s(self) -> tuple[float, ...]:
        """The instants alone, ascending."""
        return tuple(arrival.at_s for arrival in self.arrivals)

    def slice(self, worker: int, workers: int) -> Sequence[Arrival]:
        """The arrivals of one worker of several: those with index mod workers == worker.

        Of sessions, those with session mod workers == worker: one turn waits for another. Cutting one plan is exact
        for every process; giving each worker a plan of its own at rate / workers is exact for Poisson alone.
        """
        return [
            arrival
            for arrival in self.arrivals
            if (arrival.index if arrival.session is None else arrival.session) % workers == worker
        ]

    @cached_property
    def waiting(self) -> frozenset[int]:
        """The indices of those that wait for others, whose instants nobody knows beforehand; none in an open loop."""
        return frozenset(arrival.index for arrival in self.arrivals if arrival.think_s is not None)

    @property
    def _text(self) -> str:
        return "".join(arrival.line + "\n" for arrival in self.arrivals)


def plan_of(spec: LoadSpec) -> Plan:
    """The plan of a load: that of its file, or, without one, what its numbers describe.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no plan, or goes on for longer than the load.
    """
    if spec.plan_path is None:
        return Plan.of(spec)
    plan = Plan.read(spec.plan_path)
    if plan.arrivals and plan.offsets_s[-1] >= spec.duration_s:
        raise ValueError(
            f"{spec.plan_path}: the last arrival is at {plan.offsets_s[-1]:.3f} s, beyond --duration "
            f"{spec.duration_s:g}"
        )
    return plan


def _require_sessions(arrivals: Sequence[Arrival]) -> None:
    """Whoever waits for a turn has one to wait for, the last of its session before it."""
    latest: dict[int, int] = {}
    for arrival in arrivals:
        session, turn = arrival.session, arrival.turn
        if session is None and arrival.think_s is None:
            continue
        before = None if session is None else latest.get(session)
        if session is None or turn is None or (arrival.think_s is None) != (before is None):
            raise ValueError(
                f"arrival {arrival.index} waits for a turn before it, or should, and there is none such"
            )
        if before is not None and turn != before + 1:
            raise ValueError(f"arrival {arrival.index} is turn {turn} after {before} of session {session}")
        latest[session] = turn


def _read(path: Path) -> Iterator[Arrival]:
    with path.open() as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield _arrival(line)
            except (ValueError, TypeError) as error:
                raise ValueError(f"line {number} is no arrival: {error}") from error


def _arrival(line: str) -> Arrival:
    said = json.loads(line)
    if not isinstance(said, dict):
        raise TypeError(f"expected an object, got {said!r}")
    for name in _NAMES:
        if (text := said.get(name)) is not None and not is_name(text):
            raise TypeError(f"{name} is {text!r}")
    if isinstance(blocks := said.get("blocks"), list):
        said["blocks"] = tuple(blocks)
        if not all(type(block) is int for block in blocks):
            raise TypeError(f"blocks are {blocks!r}")
    arrival = Arrival(**said)
    for name, value in said.items():
        if type(value) not in _KINDS[name]:
            raise TypeError(f"{name} is {value!r}")
    return arrival
