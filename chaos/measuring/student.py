"""Student's t, for degrees of freedom that need not be whole: how much wider an estimated error makes an interval."""

import math
from statistics import NormalDist


def student_point(level: float, freedom: float) -> float:
    """Its quantile, by the expansion in 1 / freedom (Abramowitz and Stegun 26.7.5); that of the normal for +inf.

    Within 1 % from 3 degrees of freedom on, at levels up to 0.975.
    """
    z = NormalDist().inv_cdf(level)
    if math.isinf(freedom):
        return z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))
