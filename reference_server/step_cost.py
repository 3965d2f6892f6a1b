"""How long a step takes, learned from the steps so far: what a chunk of prompt costs, and when a step is overdue."""

import math

MEMORY = 0.99
"""Weight of a step when the next one is counted: the last hundred decide."""


class StepCost:
    """A line through the steps' seconds by their tokens, never steeper than through the origin."""

    def __init__(self) -> None:
        self._weight = self._tokens = self._seconds = self._squares = self._products = 0.0

    def observe(self, tokens: int, took_s: float) -> None:
        """A step of so many tokens took so long."""
        self._weight = self._weight * MEMORY + 1
        self._tokens = self._tokens * MEMORY + tokens
        self._seconds = self._seconds * MEMORY + took_s
        self._squares = self._squares * MEMORY + tokens * tokens
        self._products = self._products * MEMORY + tokens * took_s

    def expected_s(self, tokens: int) -> float:
        """What a step of so many tokens takes; 0 before the first one."""
        fixed_s, token_s = self._line()
        return fixed_s + token_s * tokens

    def tokens_within(self, seconds: float) -> float:
        """How many tokens a step may have that is to take no longer."""
        fixed_s, token_s = self._line()
        return (seconds - fixed_s) / token_s if token_s else math.inf

    def _line(self) -> tuple[float, float]:
        if not self._weight:
            return 0.0, 0.0
        steepest = self._seconds / self._tokens
        spread = self._squares * self._weight - self._tokens**2
        slope = (
            (self._products * self._weight - self._tokens * self._seconds) / spread
            if spread > 1e-9
            else math.inf
        )
        token_s = min(max(slope, 0.0), steepest)
        return (self._seconds - token_s * self._tokens) / self._weight, token_s
