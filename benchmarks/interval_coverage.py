"""Do the intervals of shares and quantiles hold what they state, for independent requests and for those of a queue?

Stretches of n consecutive requests are cut out of a long steady state whose shares and quantiles are therefore known.
`python -m benchmarks.interval_coverage` prints how often the stated interval held the truth, how wide it was against
that of independent requests, and how often nothing was stated.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from chaos.measuring.intervals import Interval, quantile_interval, share_interval
from tests.support.dependent_requests import Floats, independent_ttft_s, queue_ttft_s

LOADS = (0.5, 0.7, 0.85, 0.95)
LENGTHS = (100, 400, 1000, 3000, 10_000)
SHARES = (0.01, 0.05, 0.3)
PERCENTS = (50.0, 95.0, 99.0)
_LONG = 1_500_000


def main() -> None:
    """Print the table, and write the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stretches", type=int, default=400, help="of each world, of up to 1,000 requests")
    parser.add_argument("--markdown", type=Path, help="a file for the page: docs/intervals.md")
    arguments = parser.parse_args()
    rows = []
    for row in _rows(arguments.stretches):
        rows.append(row)
        print(row, flush=True)
    if arguments.markdown:
        command = f"python -m benchmarks.interval_coverage --stretches {arguments.stretches}"
        arguments.markdown.write_text(_PAGE.format(command=command) + "\n".join(rows) + "\n")


_PAGE = """# Intervals of requests that depend on each other

How often the 95 % intervals of `chaos/measuring/intervals.py` hold the long-run share of slow answers, and the long-run
quantile of TTFT, in stretches of n consecutive requests. A queue is M/G/16, first come, first served, in its steady
state; with its load the heaps of slow answers grow, from a handful at 0.5 to several hundred at 0.95. Behind a coverage
stands how many times as wide the interval is as that of n independent requests. **silent**: the requests depend on each
other so much that they are worth fewer than four, which is said, and nothing is called 95 %.

What a stretch cannot show, it cannot know: of 100 requests that saw a quiet moment of a busy queue, nothing tells the
queue. There the intervals hold less often than they state (the rows of n = 100).

Written by `{command}`.

"""


def _rows(stretches: int) -> Iterator[str]:
    yield "| requests | n | share of 1 % | 5 % | 30 % | P50 | P95 | P99 |"
    yield "|---|---|---|---|---|---|---|---|"
    worlds: dict[str, Floats] = {"independent": independent_ttft_s(_LONG)}
    worlds |= {f"queue at {load:g}": queue_ttft_s(load, _LONG) for load in LOADS}
    for name, ttft_s in worlds.items():
        for n in LENGTHS:
            number = max(100, stretches * 1000 // max(n, 1000))
            yield f"| {name} | {n:,} | {' | '.join(_cells(ttft_s, n, number))} |"


def _cells(ttft_s: Floats, n: int, stretches: int) -> Iterator[str]:
    rng = np.random.default_rng(n)
    starts = rng.integers(0, len(ttft_s) - n, stretches).tolist()
    cut = [ttft_s[start : start + n] for start in starts]
    for share in SHARES:
        bound_s = float(np.quantile(ttft_s, 1 - share))
        true = float(np.mean(ttft_s > bound_s))
        apart = share_interval(np.arange(n) < round(share * n), steady=False)
        yield _cell([share_interval(each > bound_s, each) for each in cut], true, apart.high - apart.low)
    for percent in PERCENTS:
        yield _cell(
            [quantile_interval(each, percent) for each in cut], float(np.quantile(ttft_s, percent / 100))
        )


def _cell(intervals: list[Interval], true: float, apart: float | None = None) -> str:
    stated = [each for each in intervals if each.reason is None]
    silent = len(intervals) - len(stated)
    text = "nothing stated"
    if stated:
        held = sum(each.low <= true <= each.high for each in stated) / len(stated)
        wide = "" if apart is None else f", {median(each.high - each.low for each in stated) / apart:.1f} x"
        text = f"{held:.0%}{wide}"
        if silent:
            text += f", silent {silent / len(intervals):.0%}"
    return text


if __name__ == "__main__":
    main()
