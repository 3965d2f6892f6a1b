"""Were these draws made by these shares? Pearson's chi-squared, with cells merged until each expects enough draws."""

import math
from collections.abc import Sequence

LEAST_EXPECTED = 10.0
"""Draws that a cell must expect for the statistic to have the distribution whose tail is taken. Five is the usual rule;
with five, 5.7 % of honest samples come out below a P-value of 5 %."""


def fit_p(counts: Sequence[int], shares: Sequence[float]) -> float:
    """The probability of counts as far from their shares as these, or farther, if the shares hold.

    Cells are merged by what they expect alone, never by what was drawn, the rarest first. A draw of what cannot be
    drawn has probability 0.

    Args:
        counts: how often each outcome was drawn.
        shares: of each outcome; they add up to 1.

    Raises:
        ValueError: fewer than two cells are left, so that nothing can be said.
    """
    if any(count and not share for count, share in zip(counts, shares, strict=True)):
        return 0.0
    cells = merged(counts, shares)
    if len(cells) < 2:
        raise ValueError(f"two cells of {LEAST_EXPECTED:g} expected draws are needed: draw more")
    statistic = sum((count - expected) ** 2 / expected for count, expected in cells)
    return chi_squared_tail(statistic, len(cells) - 1)


def merged(counts: Sequence[int], shares: Sequence[float]) -> list[tuple[int, float]]:
    """(drawn, expected) of cells that expect `LEAST_EXPECTED` draws or more each."""
    draws = sum(counts)
    cells: list[tuple[int, float]] = []
    count, expected = 0, 0.0
    for share, of_one in sorted(zip(shares, counts, strict=True), key=lambda cell: cell[0]):
        count, expected = count + of_one, expected + share * draws
        if expected >= LEAST_EXPECTED:
            cells.append((count, expected))
            count, expected = 0, 0.0
    if cells and expected:  # what is left expects too little, though it is of the likeliest outcome
        last_count, last_expected = cells.pop()
        cells.append((last_count + count, last_expected + expected))
    return cells


def chi_squared_tail(statistic: float, degrees: int) -> float:
    """The probability that chi-squared of so many degrees of freedom is at least this: the closed form of integers."""
    half = statistic / 2
    if degrees % 2:
        tail, term, at = math.erfc(math.sqrt(half)), 2 * math.sqrt(half / math.pi) * math.exp(-half), 1.5
    else:
        tail, term, at = 0.0, math.exp(-half), 1.0
    for _ in range(degrees // 2):
        tail += term
        term *= half / at
        at += 1
    return tail
