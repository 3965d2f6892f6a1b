"""Which replica gets the next attempt: fewest open, of equals whose last one is longest ago, none known to be down.

Of those that are ready, those that were ejected get none, but for one on trial; where all are, they get them all the
same: a bad answer is better than none.
"""

import random
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chaos.targets.local.gateway.ejection import Ejector
from chaos.targets.local.gateway.spec import EjectionSpec


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


@dataclass(frozen=True, slots=True)
class Choice:
    """Who gets an attempt, and as what."""

    endpoint: Endpoint
    trial: bool = False
    """It was ejected, and this attempt decides whether it comes back."""


class Balancer:
    """The replicas by name. The table is replaced whole at each push, so that other threads may read it."""

    def __init__(self, rng: random.Random, ejection: EjectionSpec) -> None:
        self.endpoints: Mapping[str, Endpoint] = {}
        self.ejector = Ejector(ejection)
        self.panics = 0
        """Attempts that an ejected replica got, because all that were ready had been ejected."""
        self._rng = rng
        self._attempts = 0

    def update(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take over what the supervisor knows now; counts and suspicions of replicas that stay are kept."""
        table = {}
        for row in rows:
            endpoint = table[row["name"]] = self.endpoints.get(row["name"]) or Endpoint(**row)
            endpoint.port, endpoint.ready, endpoint.probed_s = row["port"], row["ready"], row["probed_s"]
        self.endpoints = table
        self.ejector.update({name: each.ready for name, each in table.items()}, time.monotonic())

    def others(self, tried: Collection[str]) -> bool:
        """Whether there is somebody in rotation to try in place of these."""
        return any(each.name not in tried for each in self._usable() if self.ejector.is_in(each.name))

    def choose(self, tried: Collection[str] = (), *, generates: bool = True) -> Choice | None:
        """An available replica that was not tried yet; None when there is none.

        Args:
            tried: names of those that had this request already.
            generates: whether the request asks for tokens; no other can be a trial.
        """
        usable = [each for each in self._usable() if each.name not in tried]
        inside = [each for each in usable if self.ejector.is_in(each.name)]
        if generates and len(inside) < len(usable):
            now_s = time.monotonic()
            for each in usable:
                if self.ejector.awaits_trial(each.name, now_s):
                    self.ejector.begin_trial(each.name)
                    return Choice(self._take(each), trial=True)
        if not usable or (tried and not inside):
            return None
        self.panics += not inside
        candidates = inside or usable
        first = min((endpoint.outstanding, endpoint.chosen) for endpoint in candidates)
        drawn = self._rng.choice([e for e in candidates if (e.outstanding, e.chosen) == first])
        return Choice(self._take(drawn))

    def _usable(self) -> Iterable[Endpoint]:
        return (endpoint for endpoint in self.endpoints.values() if endpoint.available)

    def _take(self, endpoint: Endpoint) -> Endpoint:
        self._attempts += 1
        endpoint.chosen = self._attempts
        return endpoint
