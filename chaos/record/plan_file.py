"""The plan of a run's folder as its judge wants it: the instants of a million arrivals in a second."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from chaos.measuring.columns import Floats, Ints
from chaos.measuring.parts import WHOLE, Labels, Parts
from loadtests.plan import Arrival, Plan


class _Line(msgspec.Struct, gc=False):
    """What is read of an arrival's line."""

    at_s: float
    profile: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PlannedInstants:
    """When what was to leave."""

    sha256: str
    """Of the file."""
    offsets_s: Floats
    sessions: Plan | None = None
    """The whole plan where turns of sessions wait for each other: then the instants are the earliest possible."""

    parts: Parts = WHOLE
    """Which profile and which tenant each is of, where it says so."""

    @property
    def waiting(self) -> Ints:
        """The arrivals that wait for another one's end."""
        return np.array([] if self.sessions is None else list(self.sessions.waiting), dtype=np.int64)

    @classmethod
    def of(cls, plan: Plan) -> "PlannedInstants":
        """Those of a plan at hand."""
        offsets_s = np.array(plan.offsets_s, dtype=float)
        return cls(plan.sha256, offsets_s, plan if plan.waiting else None, _parts(plan.arrivals))


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
    named = b'"profile"' in written or b'"tenant"' in written
    parts = _parts(lines) if named else WHOLE
    return PlannedInstants(hashlib.sha256(written).hexdigest(), offsets_s, parts=parts)


def _parts(arrivals: Sequence[_Line] | Sequence[Arrival]) -> Parts:
    return Parts(
        Labels.of([each.profile for each in arrivals]), Labels.of([each.tenant for each in arrivals])
    )
