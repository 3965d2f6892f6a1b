"""Runs of known truth, thousands of times: `python -m benchmarks.ground_truth --runs 10000 --processes 2`."""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

from benchmarks.ground_truth.scoring import Score, Task, score_of
from benchmarks.ground_truth.table import better_for_worse, cells, markdown, page
from benchmarks.ground_truth.worlds import WORLDS


def main() -> None:
    """Play the worlds in turn until so many runs are done, and print the tables."""
    arguments = _arguments()
    tasks = list(_tasks(arguments))
    began_s = time.monotonic()
    scores: list[Score] = []
    with get_context("spawn").Pool(arguments.processes) as pool:
        for result in pool.imap_unordered(score_of, tasks, chunksize=8):
            scores.append(result)
            if len(scores) % 200 == 0:
                print(f"{len(scores)} of {len(tasks)}, {time.monotonic() - began_s:.0f} s", file=sys.stderr)
    order = {task: number for number, task in enumerate(tasks)}
    scores.sort(key=lambda each: order[each.world, each.rate, each.seed])
    if arguments.json:
        arguments.json.write_text(
            json.dumps(_told(scores), indent=1, default=lambda value: value.item()) + "\n"
        )
    if arguments.markdown:
        command = f"python -m benchmarks.ground_truth --runs {arguments.runs}"
        arguments.markdown.write_text(page(scores, command))
    print(markdown(scores))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=10_000, help="in all; spread evenly over worlds and rates"
    )
    parser.add_argument("--each", type=int, help="so many of each world and rate, whatever --runs says")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--worlds", default="", help="only those whose name or group this expression finds")
    parser.add_argument("--rates", default="5,16,50,200", help="only these")
    parser.add_argument("--seed", type=int, default=0, help="of the first run; the next ones follow it")
    parser.add_argument("--json", type=Path, help="a file for the totals of every world and rate")
    parser.add_argument(
        "--markdown", type=Path, help="a file for the tables with what they mean: docs/ground-truth.md"
    )
    return parser.parse_args()


def _tasks(arguments: argparse.Namespace) -> Iterator[Task]:
    rates = {float(rate) for rate in arguments.rates.split(",")}
    pattern = re.compile(arguments.worlds)
    played = [
        (world.name, rate)
        for world in WORLDS.values()
        if pattern.search(world.name) or pattern.search(world.group)
        for rate in world.rates
        if rate in rates
    ]
    if not played:
        sys.exit("no world is left to play")
    each = arguments.each or max(1, round(arguments.runs / len(played)))
    for name, rate in played:
        for number in range(each):
            yield name, rate, arguments.seed + number


def _told(scores: list[Score]) -> dict[str, object]:
    return {
        "worlds": [
            {"world": name, "rate": rate, **cell.told()}
            for (name, rate), cell in cells(scores, "world").items()
        ],
        "better_for_worse": {name: list(counts) for name, counts in better_for_worse(scores).items()},
    }


if __name__ == "__main__":
    main()
