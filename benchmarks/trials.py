"""What a series of trials shows on the cluster of the demo, and what a comparison of two builds can tell.

    python -m benchmarks.trials kills [--trials 20] [--shams 50]     false alarms, and the distribution of recovery
    python -m benchmarks.trials builds [--trials 20]                 equal builds, and builds that are 20 % apart
    python -m benchmarks.trials
    python -m benchmarks.trials --lanes 16                           so many clusters at once, each on cores of its own

Writes docs/data/trials-kills.json and docs/data/trials-builds.json (`--data DIR`); run folders stay under `--runs DIR`,
and a series that is there is not run again. The third build answers its readiness probe as the first two do, and
counts as ready after as many more good answers as make its capacity recovery some 20 % longer: nothing else is unlike.
About 105 s a trial: two hours for each half in one lane. With several, each runs a share of every series, with a seed
of its own, on its share of the cores, and their trials become those of one series. Exits 1 where the
comparisons do not come to what is true of the builds.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import yaml

from benchmarks.lanes import pool_of_lanes
from benchmarks.replica import ROOT
from chaos.errors import ExitCode
from chaos.record.trials import Trial, TrialState, read_series
from chaos.run_folder import SeriesFolder
from chaos.trials.summarising import SeriesFacts, summarise

DEMO = ROOT / "chaos/experiments/pod-kill-30.yaml"
SLOWER_BY = 0.2
PROBE_S = 0.1
"""How often a replica of a build is asked whether it is ready: what builds are made slower by a multiple of."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One series."""

    experiment: Path
    out: Path
    trials: int
    shams: int
    seed: int


def run_series(wanted: Sequence[Wanted], lanes: int) -> list[dict[str, Any]]:
    """Run them, those that are not there already, and read their records; several lanes run a part of each."""
    missing = [one for one in wanted if not (one.out / "trials.json").is_file()]
    if lanes == 1:
        for one in missing:
            subprocess.run(command(one), cwd=ROOT, check=False)
    elif missing:
        in_lanes(missing, lanes)
    return [json.loads((one.out / "trials.json").read_text()) for one in wanted]


def in_lanes(wanted: Sequence[Wanted], lanes: int) -> None:
    """Each lane has cores of its own and a share of every series; neighbours begin with another one.

    So whatever the machine does in the meantime, it does to all of them. Ctrl-C ends the trials that go on, and the
    finished ones are the series.
    """
    stopped = Event()
    parts = [
        [one[lane] for one in (shares(each, lanes) for each in wanted) if one[lane].trials]
        for lane in range(lanes)
    ]
    with pool_of_lanes(lanes) as going:
        for lane, own in enumerate(parts):
            turn = lane % max(1, len(own))
            going.submit(run_lane, own[turn:] + own[:turn], stopped)
        try:
            going.shutdown()
        except KeyboardInterrupt:
            stopped.set()
    for one in wanted:
        pool([part.out for part in shares(one, lanes)], one.out)


def run_lane(parts: Sequence[Wanted], stopped: Event) -> None:
    """One series after another, on the cores of this thread."""
    for part in parts:
        if not stopped.is_set():
            subprocess.run(command(part), cwd=ROOT, check=False)


def command(one: Wanted) -> list[str]:
    """What runs a series."""
    numbers = ["--trials", str(one.trials), "--shams", str(one.shams), "--seed", str(one.seed)]
    return [sys.executable, "-m", "chaos", "run", str(one.experiment), *numbers, "--out", str(one.out)]


def shares(one: Wanted, lanes: int) -> list[Wanted]:
    """A series as one for each lane, of as many trials as can be alike; the shams are dealt from the other end."""
    trials = [len(range(lane, one.trials, lanes)) for lane in range(lanes)]
    shams = [len(range(lane, one.shams, lanes)) for lane in reversed(range(lanes))]
    return [
        replace(
            one,
            out=one.out.parent / f"{one.out.name}-lane-{lane:02}",
            trials=n,
            shams=m,
            seed=1000 * one.seed + lane,
        )
        for lane, (n, m) in enumerate(zip(trials, shams, strict=True))
    ]


def pool(lanes: Sequence[Path], out: Path) -> None:
    """One series of the trials of several; its seed is the first's, and each trial has its own.

    What was not run, or was stopped by hand, is not among them.
    """
    lanes = [lane for lane in lanes if SeriesFolder(lane).trials.is_file()]
    records = [read_series(SeriesFolder(lane).trials) for lane in lanes]
    out.mkdir(parents=True)
    for name in ("experiment.yaml", "sham.yaml"):
        if (lanes[0] / name).is_file():
            shutil.copy(lanes[0] / name, out)
    trials: list[Trial] = []
    for lane, record in zip(lanes, records, strict=True):
        for trial in record.trials:
            if trial.state == TrialState.PLANNED or trial.exit_code == ExitCode.INTERRUPTED:
                continue
            number = len(trials) + 1
            shutil.move(lane / trial.folder, out / f"trial-{number:02}")
            trials.append(trial.model_copy(update={"number": number, "folder": f"trial-{number:02}"}))
    first = records[0]
    facts = SeriesFacts(
        **{name: getattr(first, name) for name in ("experiment", "hypothesis", "target", "seed", "jitter_s")},
        started_at=first.started_at,
        versions=first.versions,
        expressions=[one.expression for one in first.assertions],
    )
    summarise(facts, trials).write(out / "trials.json")


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


def kills(runs: Path, trials: int, shams: int, lanes: int) -> dict[str, Any]:
    """A series of the demo itself."""
    return run_series([Wanted(DEMO, runs / "kills", trials, shams, seed=1)], lanes)[0]


def builds(runs: Path, trials: int, lanes: int, median_s: float) -> dict[str, Any]:
    """Three series of builds of known difference, and what two comparisons of them come to."""
    more = max(1, round(SLOWER_BY * median_s / PROBE_S))
    answers = {"first": 1, "alike": 1, "slower": 1 + more}
    wanted = [
        Wanted(build(runs, name, good), runs / f"builds-{name}", trials, 0, seed=2 + number)
        for number, (name, good) in enumerate(answers.items())
    ]
    return {
        "median_s": median_s,
        "slower_by_s": more * PROBE_S,
        "slower_by_share": more * PROBE_S / median_s,
        "series": dict(zip(answers, run_series(wanted, lanes), strict=True)),
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
    parser.add_argument("--lanes", type=int, default=1, help="how many clusters at once")
    asked = parser.parse_args()
    right, record = True, asked.data / "trials-kills.json"
    if asked.what != "builds":
        found = kills(asked.runs, asked.trials, asked.shams, asked.lanes)
        print(found["sentence"])
        keep(record, found)
    if asked.what != "kills":
        median_s = capacity_median_s(json.loads(record.read_text()))
        found = builds(asked.runs, asked.trials, asked.lanes, median_s)
        right = (found["alike"]["exit_code"], found["slower"]["exit_code"]) == (0, 1)
        keep(asked.data / "trials-builds.json", found)
    return 0 if right else 1


def capacity_median_s(record: dict[str, Any]) -> float:
    """Of the demo as it is: what a build is slower than."""
    return float(next(one["median_s"] for one in record["recoveries"] if one["name"] == "capacity"))


def keep(path: Path, values: dict[str, Any]) -> None:
    """As JSON."""
    path.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
