"""Which replica gets the next attempt: fewest open, of equals whose last one is longest ago, none known to be down."""

import random
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Endpoint:
    """One replica as the gateway knows it."""

    name: str
    port: int
    ready: bool
    probed_s: float
    """Monotonic seconds at which the last readiness probe that passed began."""
    suspected_s: float = -1.0
    """Monotonic seconds at which an attempt last found it dead."""
    outstanding: int = 0
    chosen: int = 0
    """Number of its last attempt among all; 0 before its first, which comes before any other's next."""

    @property
    def available(self) -> bool:
        """Whether it may get new attempts: a suspect only after a probe that began later has passed."""
        return self.ready and self.probed_s > self.suspected_s

    def suspect(self) -> None:
        """An attempt found it dead before the probes did."""
        self.suspected_s = time.monotonic()


class Balancer:
    """The replicas by name. The table is replaced whole at each push, so that other threads may read it."""

    def __init__(self, rng: random.Random) -> None:
        self.endpoints: Mapping[str, Endpoint] = {}
        self._rng = rng
        self._attempts = 0

    def update(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take over what the supervisor knows now; counts and suspicions of replicas that stay are kept."""
        table = {}
        for row in rows:
            endpoint = table[row["name"]] = self.endpoints.get(row["name"]) or Endpoint(**row)
            endpoint.port, endpoint.ready, endpoint.probed_s = row["port"], row["ready"], row["probed_s"]
        self.endpoints = table

    def choose(self, tried: Collection[str] = ()) -> Endpoint | None:
        """An available replica that was not tried yet; None when there is none."""
        candidates = [e for e in self.endpoints.values() if e.available and e.name not in tried]
        if not candidates:
            return None
        first = min((endpoint.outstanding, endpoint.chosen) for endpoint in candidates)
        chosen = self._rng.choice([e for e in candidates if (e.outstanding, e.chosen) == first])
        self._attempts += 1
        chosen.chosen = self._attempts
        return chosen
