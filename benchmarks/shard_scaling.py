"""How tensor parallelism scales: decode steps over 1, 2, 4, ... ranks in one call, and the loss of one of them.

    python -m benchmarks.shard_scaling --shards 1,2,4,8 --output shards.json

Weights are random and made on each rank's device; prompts are really computed; steps are timed where their tokens
arrive. On CPUs this shows that the code is right, not how fast anything is: ranks share the cores.
"""

import argparse
import json
import math
import os
import platform
import signal
import statistics
import sys
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import psutil

from benchmarks.decoding import WARM_STEPS, Decoder, prompts
from benchmarks.shard_rank import GRAPHED_NCCL_SUM, GRAPHED_SUM, Cut, load_random
from exporters.series.comm import COMM_LATENCY
from reference_server.batch import BackendLostError
from reference_server.grid import Grid
from reference_server.models.shapes import NAMED_SHAPES, Shape
from reference_server.shards.backend import Group, ShardedBackend
from reference_server.shards.nursery import Nursery
from tests.support.shard_model import compared, table

CHECKED = Shape(
    layers=8, hidden=1024, heads=16, kv_heads=8, head_dim=64, feed_forward=2816, vocabulary=32000, eos=()
)
"""Small enough for equal weights to be made by every rank."""
TELL_S = 0.5
"""By then the ranks have told what their exchanges took."""

Exchanges = dict[tuple[str, str], list[float]]
"""Seconds of every timed exchange, by operation and peer."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    shape: str
    shards: tuple[int, ...]
    batches: tuple[int, ...]
    context: int
    steps: int

    def cut(self) -> Cut:
        """What the ranks must know of it."""
        room = self.context + self.steps + WARM_STEPS
        return Cut(NAMED_SHAPES[self.shape], room, max(self.batches), self.batches)

    def decoder(self, backend: ShardedBackend, batch: int) -> Decoder:
        """So many sequences, prompts computed."""
        cut = self.cut()
        decoder = Decoder(backend, prompts(batch, self.context, cut.shape.vocabulary), cut.context)
        decoder.fill()
        return decoder


def described(exchanges: Exchanges) -> list[dict[str, Any]]:
    """Count, quantiles and the histogram with the edges of `ds_comm_latency_seconds`."""
    edges = [*(COMM_LATENCY.buckets or ()), math.inf]
    rows = []
    for (op, peer), seconds in exchanges.items():
        quantiles = {f"p{q}_us": round(1e6 * _rank(seconds, q / 100), 1) for q in (50, 90, 99)}
        counts = Counter(edges[bisect_left(edges, one)] for one in seconds)
        histogram = {f"<={edge:g}": counts[edge] for edge in sorted(counts)}
        rows.append({"op": op, "peer": peer, "n": len(seconds), **quantiles, "histogram_s": histogram})
    return rows


def _rank(values: Sequence[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]


def measure(plan: Plan, ranks: int, nursery: Nursery) -> dict[str, Any]:
    """Load over so many ranks, and time every batch size."""
    exchanges: Exchanges = defaultdict(list)

    def report(op: str, peer: str, seconds: float) -> None:
        exchanges[op, peer].append(seconds)

    group = Group(Grid(tensor=ranks), nursery, report, answer_s=120.0)
    began_s = time.perf_counter()
    with closing(ShardedBackend(group, partial(load_random, plan.cut()))) as backend:
        result: dict[str, Any] = {"shards": ranks, "load_s": time.perf_counter() - began_s, "batches": []}
        plan.decoder(backend, 1)
        time.sleep(TELL_S)
        for key, graphed in (("graphed_sums_s", GRAPHED_SUM), ("graphed_nccl_sums_s", GRAPHED_NCCL_SUM)):
            result[key] = {peer: seconds[0] for (op, peer), seconds in exchanges.items() if op == graphed}
        for batch in plan.batches:
            decoder = plan.decoder(backend, batch)
            decoder.step(WARM_STEPS)
            time.sleep(TELL_S)
            exchanges.clear()
            steps_s = decoder.step(plan.steps)
            time.sleep(TELL_S)
            median_s = statistics.median(steps_s)
            result["batches"].append(
                {
                    "batch": batch,
                    "step_s": median_s,
                    "tokens_per_s": batch / median_s,
                    "steps_s": steps_s,
                    "exchanges": described(exchanges),
                }
            )
    return result


def lose_one(plan: Plan, ranks: int, nursery: Nursery, fault: signal.Signals) -> dict[str, Any]:
    """Hit the last rank in the midst of decoding: when it is noticed, and when the next group draws a token."""
    group, load = Group(Grid(tensor=ranks), nursery, answer_s=120.0), partial(load_random, plan.cut())
    decoder = plan.decoder(ShardedBackend(group, load), max(plan.batches))
    decoder.step(WARM_STEPS)
    victim = max(psutil.Process(nursery.pid).children(), key=lambda process: process.pid)
    began_s = time.perf_counter()
    os.kill(victim.pid, fault)
    try:
        while True:
            decoder.step(2)
            decoder.position = plan.context
    except BackendLostError as error:
        noticed_s, why = time.perf_counter() - began_s, str(error)
    with closing(ShardedBackend(group, load)) as again:
        loaded_s = time.perf_counter() - began_s
        plan.decoder(again, 1)
        serving_s = time.perf_counter() - began_s
    return {
        "shards": ranks, "fault": fault.name, "noticed_s": noticed_s, "said": why, "loaded_s": loaded_s,
        "serving_again_s": serving_s, "left_of_the_group": psutil.pid_exists(victim.pid),
    }  # fmt: skip


def agreement(shape: Shape, grids: Sequence[Grid], nursery: Nursery) -> list[dict[str, Any]]:
    """How often the greedy token over these ranks is the one of a single rank, given the same tokens before it."""
    sequences, context, tokens = 16, 48, 64
    cut = Cut(shape, context + tokens, sequences, seed=0)

    def greedy(grid: Grid, given: list[list[int]] | None = None) -> list[list[int]]:
        group = Group(grid, nursery, answer_s=120.0)
        with closing(ShardedBackend(group, partial(load_random, cut))) as backend:
            decoder = Decoder(backend, prompts(sequences, context, shape.vocabulary), cut.context)
            drawn = [decoder.fill(at_once=sequences)]
            for i in range(tokens - 1):
                drawn.append(decoder.follow((given or drawn)[i]))
        return drawn

    alone = greedy(Grid())
    agreed = []
    for grid in grids:
        pairs = zip(chain(*alone), chain(*greedy(grid, alone)), strict=True)
        agreed.append(
            {"grid": asdict(grid), "positions": sequences * tokens, "equal": sum(a == b for a, b in pairs)}
        )
    return agreed


def run(plan: Plan) -> dict[str, Any]:
    """Everything, in one call."""
    with closing(Nursery()) as nursery:
        runs = []
        for ranks in plan.shards:
            runs.append(measure(plan, ranks, nursery))
            print(
                f"{ranks} ranks measured, loaded in {runs[-1]['load_s']:.1f} s", file=sys.stderr, flush=True
            )
        rows = compared(runs, plan.shards, 2 * NAMED_SHAPES[plan.shape].layers)
        print(table(rows), flush=True)
        most, checked = max(plan.shards), NAMED_SHAPES[plan.shape]
        if checked.hidden > CHECKED.hidden:
            checked = CHECKED
        losses = [
            lose_one(plan, most, nursery, fault) for fault in (signal.SIGKILL, signal.SIGSTOP) if most > 1
        ]
        agreed = agreement(checked, [Grid(tensor=most), Grid(pipeline=2)], nursery) if most > 1 else []
    return {
        "plan": asdict(plan), "machine": machine(), "compared": rows, "losses": losses,
        "agreement": agreed, "runs": runs,
    }  # fmt: skip


def machine() -> dict[str, Any]:
    """What it ran on, without names."""
    import torch

    gpus = torch.cuda.device_count()
    return {
        "gpus": gpus, "gpu": torch.cuda.get_device_name(0) if gpus else None, "cpus": os.cpu_count(),
        "torch": torch.__version__, "python": platform.python_version(),
    }  # fmt: skip


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--shards", required=True, help="numbers of ranks, e.g. 1,2,4,8; as many GPUs as the largest"
    )
    parser.add_argument("--shape", default="8b", choices=NAMED_SHAPES)
    parser.add_argument("--batches", default="1,32")
    parser.add_argument("--context", type=int, default=1024, help="prompt tokens of every sequence")
    parser.add_argument("--steps", type=int, default=128, help="decode steps timed for each batch size")
    parser.add_argument("--output", type=Path, help="where the JSON goes")
    given = parser.parse_args()
    shards, batches = (tuple(int(n) for n in text.split(",")) for text in (given.shards, given.batches))
    result = run(Plan(given.shape, shards, batches, given.context, given.steps))
    for loss in result["losses"]:
        print("{fault} of one of {shards} ranks: noticed after {noticed_s:.2f} s,".format(**loss), end=" ")
        print("serving again after {serving_again_s:.1f} s".format(**loss))
    for agreed in result["agreement"]:
        print("{equal} of {positions} greedy tokens over {grid} are those of one rank".format(**agreed))
    if given.output:
        given.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
