"""The beta distribution, for parameters that need not be whole: what exact intervals of shares are made of."""

import math

_STEPS = 500
_PRECISE = 3e-12
_TINY = 1e-300


def beta_point(level: float, a: float, b: float) -> float:
    """The x at which the distribution function of Beta(a, b) is `level`."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_share(middle, a, b) < level else (low, middle)
    return (low + high) / 2


def beta_share(x: float, a: float, b: float) -> float:
    """The distribution function of Beta(a, b): the regularised incomplete beta function."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    front = math.exp(logarithm)
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def binomial_at_most(k: int, n: int, probability: float) -> float:
    """P(Binomial(n, probability) <= k), by its tie to the beta distribution; 0 <= k <= n."""
    return 1.0 if k >= n else 1 - beta_share(probability, k + 1, n - k)


def _fraction(x: float, a: float, b: float) -> float:
    """Its continued fraction (Abramowitz and Stegun 26.5.8), by the method of Lentz."""
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away(1 + term * d)
            c = _away(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISE:
            break
    return value


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
