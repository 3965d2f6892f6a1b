"""What a series of trials shows on the cluster of the demo, and what a comparison of two builds can tell.

    python -m benchmarks.trials kills [--trials 20] [--shams 50]     false alarms, and the distribution of recovery
    python -m benchmarks.trials builds [--trials 20]                 equal builds, and builds that are 20 % apart
    python -m benchmarks.trials

Writes docs/data/trials-kills.json and docs/data/trials-builds.json (`--data DIR`); run folders stay under `--runs DIR`,
and a series that is there is not run again. The third build answers its readiness probe as the first two do, and
counts as ready after as many more good answers as make its capacity recovery some 20 % longer: nothing else is unlike.
About 105 s a trial: two hours for each half. Exits 1 where the comparisons do not come to what is true of the builds.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks.replica import ROOT

DEMO = ROOT / "chaos/experiments/pod-kill-30.yaml"
SLOWER_BY = 0.2
PROBE_S = 0.2
"""How often a replica of a build is asked whether it is ready: what builds are made slower by a multiple of."""


def series(experiment: Path, out: Path, trials: int, shams: int, seed: int) -> dict[str, Any]:
    """Run a series and read its record; one that is there already is not run again."""
    if not (out / "trials.json").is_file():
        numbers = ["--trials", str(trials), "--shams", str(shams), "--seed", str(seed)]
        command = [sys.executable, "-m", "chaos", "run", str(experiment), *numbers, "--out", str(out)]
        subprocess.run(command, cwd=ROOT, check=False)
    found: dict[str, Any] = json.loads((out / "trials.json").read_text())
    return found


def build(folder: Path, name: str, good_answers: int) -> Path:
    """The demo with replicas that count as ready after so many good answers in a row."""
    values = yaml.safe_load(DEMO.read_text())
    readiness = {"period": f"{PROBE_S * 1000:.0f}ms", "success_threshold": good_answers}
    values["target"]["local"]["probes"] = {"readiness": readiness}
    values["fault"]["manifest"] = str((DEMO.parent / values["fault"]["manifest"]).resolve())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def compared(a: Path, b: Path, out: Path, measure: str) -> dict[str, Any]:
    """What `compare` says of two series, and its exit code."""
    command = [
        sys.executable,
        "-m",
        "chaos",
        "compare",
        str(a),
        str(b),
        "--measure",
        measure,
        "--json",
        str(out),
    ]
    ended = subprocess.run(command, cwd=ROOT, check=False)
    found: dict[str, Any] = json.loads(out.read_text())
    return {"exit_code": ended.returncode, "differences": found["differences"]}


def kills(runs: Path, trials: int, shams: int) -> dict[str, Any]:
    """A series of the demo itself."""
    return series(DEMO, runs / "kills", trials, shams, seed=1)


def builds(runs: Path, trials: int) -> dict[str, Any]:
    """Three series of builds of known difference, and what two comparisons of them come to."""
    first = series(build(runs, "first", 1), runs / "builds-first", trials, 0, seed=2)
    median_s = float(next(one["median_s"] for one in first["recoveries"] if one["name"] == "capacity"))
    more = max(1, round(SLOWER_BY * median_s / PROBE_S))
    alike = series(build(runs, "alike", 1), runs / "builds-alike", trials, 0, seed=3)
    slower = series(build(runs, "slower", 1 + more), runs / "builds-slower", trials, 0, seed=4)
    return {
        "median_s": median_s,
        "slower_by_s": more * PROBE_S,
        "slower_by_share": more * PROBE_S / median_s,
        "series": {"first": first, "alike": alike, "slower": slower},
        "alike": compared(runs / "builds-first", runs / "builds-alike", runs / "alike.json", "capacity"),
        "slower": compared(runs / "builds-first", runs / "builds-slower", runs / "slower.json", "capacity"),
    }


def main() -> int:
    """Run what was asked for; 1 where the comparisons did not come to what is true of the builds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("kills", "builds"), nargs="?")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--shams", type=int, default=50)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs/benchmark-trials")
    parser.add_argument("--data", type=Path, default=ROOT / "docs/data")
    asked = parser.parse_args()
    right = True
    if asked.what != "builds":
        found = kills(asked.runs, asked.trials, asked.shams)
        print(found["sentence"])
        keep(asked.data / "trials-kills.json", found)
    if asked.what != "kills":
        found = builds(asked.runs, asked.trials)
        right = (found["alike"]["exit_code"], found["slower"]["exit_code"]) == (0, 1)
        keep(asked.data / "trials-builds.json", found)
    return 0 if right else 1


def keep(path: Path, values: dict[str, Any]) -> None:
    """As JSON."""
    path.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
