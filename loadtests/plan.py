"""The arrival plan: which request leaves at which instant, as a pure function of the load and as a file.

The file has one JSON object per arrival, in order of their instants. Whoever writes it knows what will be asked before
anything is; whoever has it can ask the same again. What an arrival does not say is left out of its line, so that a
later kind of load can say more of its own without changing the files that are there.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Self

from loadtests.arrivals import instants
from loadtests.spec import LoadSpec


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
    """Of its prompt, which is a function of seed, index and length."""

    @property
    def line(self) -> str:
        """As one JSON object without a newline; its instant is exact, to the last bit."""
        said = {key: value for key in _FIELDS if (value := getattr(self, key)) is not None}
        return json.dumps(said, separators=(",", ":"))


_FIELDS = tuple(field.name for field in fields(Arrival))
_KINDS = {name: (int, float) if name == "at_s" else (int,) for name in _FIELDS}


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

    @classmethod
    def of(cls, spec: LoadSpec) -> Self:
        """The plan that the numbers of a load describe; some 20 microseconds an arrival."""
        offsets_s = instants(spec.arrivals, spec.rate_per_s, spec.duration_s, spec.seed, spec.rate_from_per_s)
        return cls(
            tuple(
                Arrival(index, at_s, spec.prompt_tokens, spec.output_tokens, spec.seed)
                for index, at_s in enumerate(offsets_s)
            )
        )

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

        Cutting one plan is exact for every process; giving each worker a plan of its own at rate / workers
        is exact for Poisson alone.
        """
        return self.arrivals[worker::workers]

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


def _read(path: Path) -> Iterator[Arrival]:
    with path.open() as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield _arrival(line)
            except (ValueError, TypeError) as error:
                raise ValueError(f"line {number} is no arrival: {error}") from error


def _arrival(line: str) -> Arrival:
    arrival = Arrival(**json.loads(line))
    for name, kinds in _KINDS.items():
        if type(value := getattr(arrival, name)) not in kinds:
            raise TypeError(f"{name} is {value!r}")
    return arrival
