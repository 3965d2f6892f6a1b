"""What more ranks would give, from what was measured on one and on two: a model, printed beside measurements only.

A decode step is reading weights and KV cache, which r ranks share, and the sums between ranks, which they add:
`step(r) = step(1) / r + sums * sum(r)`. step(1) is measured; sum(2) is measured too, inside a graph on the same GPUs;
a step has two sums per layer. So step(2) is predicted, not fitted: its distance from the measured one says what the
model is worth. For more ranks a sum takes at least what it takes over two (where launching it is what costs) and at
most that once per doubling (where each hop costs as much again): a range, not a number.
"""

import math
from collections.abc import Sequence
from typing import Any


def modelled_step_s(step_of_one_s: float, sum_of_two_s: float, sums: int, ranks: int) -> tuple[float, float]:
    """The shortest and the longest that a decode step would take over so many ranks, two or more; seconds."""
    shared_s, added_s = step_of_one_s / ranks, sums * sum_of_two_s
    return shared_s + added_s, shared_s + added_s * math.log2(ranks)


def compared(runs: Sequence[dict[str, Any]], shards: Sequence[int], sums: int) -> list[dict[str, Any]]:
    """Speed-up over one rank as measured and, from two ranks on, as modelled: [least, most]."""
    steps = {(run["shards"], one["batch"]): one["step_s"] for run in runs for one in run["batches"]}
    sums_s = {run["shards"]: run["graphed_sums_s"] for run in runs}
    rows = []
    for batch in sorted({batch for _, batch in steps}):
        one_s, sum_s = steps.get((1, batch)), sums_s.get(2, {}).get(str(batch))
        for ranks in sorted({*shards, 4, 8} if one_s and sum_s else shards):
            step_s = steps.get((ranks, batch))
            modelled = None
            if one_s and sum_s and ranks > 1:
                modelled = sorted(one_s / step for step in modelled_step_s(one_s, sum_s, sums, ranks))
            rows.append(
                {
                    "batch": batch,
                    "shards": ranks,
                    "step_s": step_s,
                    "speed_up": one_s / step_s if one_s and step_s else None,
                    "modelled_speed_up": modelled,
                }
            )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The comparison as lines of text: what was measured and, beside it, what the model says."""
    lines = ["batch  ranks  tokens/s  speed-up  efficiency | modelled speed-up"]
    for row in rows:
        batch, ranks, step_s, modelled = (
            row[key] for key in ("batch", "shards", "step_s", "modelled_speed_up")
        )
        measured = " not run" + " " * 22
        if step_s:
            gain = row["speed_up"] or math.nan
            measured = f"{batch / step_s:8.0f}  {gain:8.2f}  {gain / ranks:10.0%}"
        said = "{:.2f} to {:.2f}".format(*modelled) if modelled else ""
        lines.append(f"{batch:5}  {ranks:5}  {measured} | {said}".rstrip())
    return "\n".join(lines)
