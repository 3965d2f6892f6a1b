"""How every report says a figure: one spelling for HTML, Markdown, JUnit and terminal.

Figures come as the journal has them: a float, infinite too, or None for what could not be had.
"""

import math

Figure = float | None
NOTHING = "\N{EN DASH}"


def seconds(figure: Figure) -> str:
    """A duration in seconds with three significant digits: `42 ms`, `4.1 s`, `inf`, or a dash for None."""
    if figure is None or math.isinf(figure):
        return plain(figure)
    return f"{plain(figure * 1000)} ms" if 0 < abs(figure) < 0.9995 else f"{plain(figure)} s"


def instant(at_s: float) -> str:
    """A place on the run clock, to the millisecond: `30.024 s`."""
    return f"{at_s:.3f} s"


def plain(figure: Figure) -> str:
    """A number with three significant digits, never in powers of ten: `0.125`, `4.1`, `1234`."""
    if figure is None:
        return NOTHING
    if math.isinf(figure):
        return "inf"
    if float(figure).is_integer():
        return str(int(figure))
    text = f"{figure:.{max(0, 2 - math.floor(math.log10(abs(figure))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def share(figure: Figure) -> str:
    """A ratio in percent: `99.4 %`; never rounded up to all nor down to nothing."""
    if figure is None or math.isinf(figure):
        return plain(figure)
    if 0 < figure < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= figure < 1:
        return "> 99.9 %"
    return f"{figure:.1%}".replace(".0%", "%").replace("%", " %")


def measured(figure: Figure, dimension: str) -> str:
    """What an assertion compares, in the unit of its dimension: duration, ratio, count or rate."""
    if figure is None:
        return NOTHING
    if dimension == "rate":
        return f"{plain(figure)} /s"
    return {"duration": seconds, "ratio": share}.get(dimension, plain)(figure)


def between(interval: tuple[float, float] | None, dimension: str) -> str:
    """An interval: `1.9 s to 5.7 s`, `at least 4.1 s`; empty where it is one number or not known."""
    if interval is None or interval[0] == interval[1]:
        return ""
    low, high = interval
    if math.isinf(high):
        return f"at least {measured(low, dimension)}"
    return f"{measured(low, dimension)} to {measured(high, dimension)}"


def count(value: int, singular: str) -> str:
    """`1 replica`, `3 replicas`, `1,260 requests`."""
    return f"{value:,} {singular}{'' if value == 1 else 's'}"
