"""What ejection is worth: a replica that answers its health checks and nothing else, with and without it.

    python -m benchmarks.ejection_worth [--times 3] [--lanes 4]

Runs `chaos/experiments/black-hole.yaml` and `black-hole-kept.yaml` in turn, each time with another seed, and prints of
each run how many requests failed in its fault phase, of how many. Takes some two and a half minutes a time in one lane;
with more, so many runs go on at once, each on its share of the cores (two will do).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.lanes import pool_of_lanes
from benchmarks.replica import ROOT

EXPERIMENTS = {"with ejection": "black-hole", "without": "black-hole-kept"}


def failed(name: str, seed: int) -> tuple[int, int]:
    """Failed requests of the fault phase of one run, and all that were planned in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = ROOT / "chaos" / "experiments" / f"{name}.yaml"
        command = [sys.executable, "-m", "chaos", "run", str(path), "--seed", str(seed)]
        ended = subprocess.run(
            [*command, "--out", f"{folder}/run"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        journal = Path(folder) / "run" / "journal.json"
        if not journal.is_file():
            raise SystemExit(f"{name}: no journal: {ended.stderr[-1000:]}")
        found = json.loads(journal.read_text())
    phase = next((each for each in found["phases"] if each["name"] == "fault"), None)
    if phase is None or not all(fault["verified"] for fault in found["faults"]):
        raise SystemExit(f"{name}: the fault is not proved: {found['cut_short'] or found['reasons']}")
    return phase["failed"], phase["n"]


def main() -> int:
    """Run both in turn, and print what each cost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--lanes", type=int, default=1, help="how many runs at once")
    options = parser.parse_args()
    totals = {words: [0, 0] for words in EXPERIMENTS}
    runs = [(seed, words) for seed in range(1, options.times + 1) for words in EXPERIMENTS]
    with pool_of_lanes(options.lanes) as pool:
        found = pool.map(lambda run: failed(EXPERIMENTS[run[1]], run[0]), runs)
        for (seed, words), (bad, planned) in zip(runs, found, strict=True):
            totals[words][0] += bad
            totals[words][1] += planned
            print(f"seed {seed}  {words:14} {bad:4} failed of {planned}", flush=True)
    for words, (bad, planned) in totals.items():
        print(f"together{words:>15}  {bad:4} failed of {planned} ({bad / planned:.1%})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
