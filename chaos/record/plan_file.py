"""The plan of a run's folder as its judge wants it: the instants of a million arrivals in a second."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from chaos.measuring.columns import Floats, Ints
from loadtests.plan import Plan


class _Line(msgspec.Struct, gc=False):
    """What is read of an arrival's line."""

    at_s: float


@dataclass(frozen=True, slots=True, eq=False)
class PlannedInstants:
    """When what was to leave."""

    sha256: str
    """Of the file."""
    offsets_s: Floats
    sessions: Plan | None = None
    """The whole plan where turns of sessions wait for each other: then the instants are the earliest possible."""

    @property
    def waiting(self) -> Ints:
        """The arrivals that wait for another one's end."""
        return np.array([] if self.sessions is None else list(self.sessions.waiting), dtype=np.int64)

    @classmethod
    def of(cls, plan: Plan) -> "PlannedInstants":
        """Those of a plan at hand."""
        return cls(plan.sha256, np.array(plan.offsets_s, dtype=float), plan if plan.waiting else None)


def read_instants(path: Path) -> PlannedInstants:
    """The instants of a plan's file.

    Raises:
        OSError: it cannot be read.
        ValueError: naming the file, when it is no plan.
    """
    written = path.read_bytes()
    if b'"think_s"' in written:
        return PlannedInstants.of(Plan.read(path))
    try:
        lines = msgspec.json.Decoder(_Line).decode_lines(written)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    offsets_s = np.fromiter((line.at_s for line in lines), float, len(lines))
    return PlannedInstants(hashlib.sha256(written).hexdigest(), offsets_s)
