"""How fast answers come, of each replica and of all: what is slow is slow beside the others."""

from collections import deque
from statistics import median

from chaos.targets.local.gateway.ejection import Kind

_LATEST = 50
_ENOUGH = 5
"""Figures of a replica before its median says anything."""
_FEWEST = 3
"""Replicas with a median before theirs does."""
_NO_MATTER_S = {Kind.FIRST_TOKEN: 0.05, Kind.PACE: 0.01}
"""Beyond the peers' median: below that nobody waits, however many times the median it is."""


class Paces:
    """The latest first tokens and token gaps by replica."""

    def __init__(self, factor: float) -> None:
        """Slow is more than `factor` times the median of the replicas' medians."""
        self._factor = factor
        self._latest: dict[Kind, dict[str, deque[float]]] = {kind: {} for kind in _NO_MATTER_S}
        self._limits_s: dict[Kind, float | None] = dict.fromkeys(_NO_MATTER_S)

    def is_slow(self, replica: str, kind: Kind, seconds: float) -> bool | None:
        """Note a figure; whether it is slow, None while that cannot be said."""
        self._latest[kind].setdefault(replica, deque(maxlen=_LATEST)).append(seconds)
        limit_s = self._limits_s[kind]
        return None if limit_s is None else seconds > limit_s

    def refresh(self) -> None:
        """Take the medians again; replicas whose figures all are old keep theirs until they leave."""
        for kind, latest in self._latest.items():
            medians = [median(figures) for figures in latest.values() if len(figures) >= _ENOUGH]
            if len(medians) >= _FEWEST:
                middle_s = median(medians)
                self._limits_s[kind] = max(self._factor * middle_s, middle_s + _NO_MATTER_S[kind])

    def keep(self, replicas: set[str]) -> None:
        """Forget all others."""
        for latest in self._latest.values():
            for gone in latest.keys() - replicas:
                del latest[gone]
