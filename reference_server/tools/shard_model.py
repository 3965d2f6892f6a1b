"""What more ranks would give, from what one and two gave: a model, to be read beside measurements, never for one.

A decode step of one rank takes `x + c`: `x` for what tensor parallelism divides (weights and KV cache read, products),
`c` for what it does not (launches, norms, sampling). With r ranks it takes `x / r + c + n * a(r)`, n being the sums of
a step (two per layer) and a(r) what one takes. One and two ranks give x and c; a(r) for more ranks is extrapolated
from a sum over two, as one more of the same per doubling: the growth of a tree, where messages are small.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepModel:
    """Seconds of one decode step at one batch size."""

    divided_s: float
    undivided_s: float
    sums: int
    sum_of_two_s: float

    def step_s(self, ranks: int) -> float:
        """What a step would take over so many ranks."""
        return self.divided_s / ranks + self.undivided_s + self.sums * self.sum_s(ranks)

    def sum_s(self, ranks: int) -> float:
        """What one sum would take."""
        return self.sum_of_two_s * math.log2(ranks)


def fitted(one_s: float, two_s: float, *, sums: int, sum_of_two_s: float) -> StepModel:
    """The model that agrees with the steps of one rank and of two."""
    divided_s = 2 * (one_s - two_s + sums * sum_of_two_s)
    return StepModel(divided_s, one_s - divided_s, sums, sum_of_two_s)
