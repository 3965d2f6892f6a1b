"""A million rows, judged and reported: how long `aftershock report` takes, and how much memory.

    python -m benchmarks.million_rows [--rows 1000000] [--rounds 3]

The recorded run of the tests lends its experiment and events; plan and rows are made up, sixteen tokens an answer. Each
round is a process of its own, so that its memory is its own.
"""

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from loadtests.plan import Arrival, Plan

SAMPLE = Path(__file__).parent.parent / "tests" / "data" / "run-sample"
_SECONDS = 4_000.0
_OUTAGE_S = (28.05, 31.05)
_ROUND = """
import json, resource, sys, time
from chaos.cli import main
began_s, used_s = time.monotonic(), time.process_time()
main(["report", sys.argv[1]])
peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"s": time.monotonic() - began_s, "cpu_s": time.process_time() - used_s, "peak_gb": peak_kb / 1e6}))
"""


def main() -> None:
    """Make the folder, then time its reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(SAMPLE, Path(name) / "run"))
        make(folder, options.rows)
        rounds = [_timed(folder) for _ in range(options.rounds)]
        size_mb = (folder / "requests.jsonl").stat().st_size / 1e6
        report_mb = (folder / "report.html").stat().st_size / 1e6
    print(f"{options.rows:,} rows, {size_mb:.0f} MB; report {report_mb:.2f} MB; median of {options.rounds}:")
    for key, unit in (("s", "s"), ("cpu_s", "s of processor time"), ("peak_gb", "GB at most")):
        print(f"  {statistics.median(each[key] for each in rounds):.2f} {unit}")


def make(folder: Path, count: int) -> None:
    """Plan and rows of a long run with an outage of three seconds."""
    draw, at_s, arrivals = random.Random(1), 0.0, []
    for index in range(count):
        at_s += draw.expovariate(count / _SECONDS)
        arrivals.append(Arrival(index, at_s, 64, 16, 1))
    plan = Plan(tuple(arrivals))
    plan.write(folder / "plan.jsonl")
    with (folder / "requests.jsonl").open("w") as rows:
        for arrival in plan.arrivals:
            rows.write(json.dumps(_row(arrival, draw), separators=(",", ":")) + "\n")
    load = json.loads((folder / "load.json").read_text())
    said = {"planned": count, "rows": count, "duration_s": at_s + 1, "plan_sha256": plan.sha256}
    (folder / "load.json").write_text(json.dumps(load | said))


def _row(arrival: Arrival, draw: random.Random) -> dict[str, object]:
    left_s = arrival.at_s + 0.001
    row: dict[str, object] = {
        "index": arrival.index,
        "intended_s": round(arrival.at_s, 6),
        "outcome": "ok",
        "dispatched_s": round(left_s, 6),
        "connected_s": round(left_s + 0.0003, 6),
        "sent_s": round(left_s + 0.0005, 6),
    }
    if _OUTAGE_S[0] <= arrival.at_s < _OUTAGE_S[1]:
        return row | {"outcome": "http_503", "ended_s": round(left_s + 0.01, 6), "status": 503}
    first_s = left_s + 0.06 + 0.05 * draw.random()
    tokens_s = [round(first_s + 0.03 * nth, 6) for nth in range(arrival.output_tokens)]
    return row | {
        "headers_s": round(first_s - 0.01, 6),
        "token_s": tokens_s,
        "ended_s": tokens_s[-1],
        "prompt_tokens": arrival.prompt_tokens,
        "output_tokens": arrival.output_tokens,
        "status": 200,
        "attempts": 1,
        "replica": f"reference-server-{arrival.index % 10}",
    }


def _timed(folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", _ROUND, str(folder)], capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
