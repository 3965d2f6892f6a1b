"""How much may be tried again: a share of the open requests, and a few a second in any case.

In an outage retries add load exactly where there is least room for it; a budget keeps them from multiplying it. The
few a second are for a gateway with so few requests that any share of them is none.
"""

from chaos.targets.local.gateway.spec import RetrySpec


class RetryBudget:
    """Grants retries, and knows how many go on."""

    def __init__(self, spec: RetrySpec) -> None:
        self.refused = 0
        self._spec = spec
        self._open = 0
        self._saved = spec.min_per_second
        """Grants beside the share: they come back with time, and are at most one second's."""
        self._counted_s = 0.0

    def grant(self, open_requests: int, now_s: float) -> bool:
        """Whether one request may be tried once more; if so, `ended` is owed when that request is over.

        Args:
            open_requests: logical requests that the gateway holds open, this one too.
            now_s: monotonic seconds.
        """
        if not self._spec.enabled:
            return False
        most = self._spec.min_per_second
        self._saved = min(most, self._saved + (now_s - self._counted_s) * most)
        self._counted_s = now_s
        if self._open + 1 > self._spec.budget * open_requests:
            if self._saved < 1:
                self.refused += 1
                return False
            self._saved -= 1
        self._open += 1
        return True

    def ended(self) -> None:
        """A request that was tried once more is over."""
        self._open -= 1
