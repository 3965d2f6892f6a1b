"""The demo again and again, on the whole machine or on a part of it: what it found, and what it cost.

    python -m benchmarks.demo_runs [--times 10] [--busy-cores N | --quota CORES] [--experiment FILE] [--json FILE]

`--busy-cores 1` keeps one core busy with a process of somebody else's; `--quota 1` gives all processes of the run
together the time of one core, by a control group (needs root). Prints a line a run, exits 1 unless all passed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.replica import ROOT

PERIOD_US = 20_000
"""Of the quota: short, so that every process runs slower, and none stands still for long."""
CONTROL_GROUPS = (
    (Path("/sys/fs/cgroup/cpu"), "tasks", {"cpu.cfs_period_us": "{period}", "cpu.cfs_quota_us": "{quota}"}),
    (Path("/sys/fs/cgroup"), "cgroup.procs", {"cpu.max": "{quota} {period}"}),
)
"""Version 1 and version 2: where, which file takes members, and what says the quota."""


@contextmanager
def busy(cores: int) -> Iterator[None]:
    """Somebody else's work on so many cores."""
    commands = [[sys.executable, "-c", "while True: pass"]] * cores
    processes = [subprocess.Popen(command) for command in commands]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextmanager
def quota(cores: float) -> Iterator[Path]:
    """The file of a control group with that quota: who writes a pid into it brings it under the quota."""
    root, members, settings = next(each for each in CONTROL_GROUPS if each[0].is_dir())
    group = root / "aftershock-demo-runs"
    group.mkdir()
    try:
        for name, text in settings.items():
            (group / name).write_text(text.format(period=PERIOD_US, quota=round(cores * PERIOD_US)))
        yield group / members
    finally:
        group.rmdir()


def one_run(experiment: Path, members: Path | None) -> dict[str, Any]:
    """Run it; what its journal says, or the last line of what it said where it left none."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "chaos", "run", str(experiment), "--out", f"{name}/run"]
        if members is not None:
            command = ["sh", "-c", f'echo $$ > {members} && exec "$0" "$@"', *command]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        path = Path(name) / "run" / "journal.json"
        if not path.is_file():
            said = (ended.stdout + ended.stderr).strip().splitlines()
            return {"exit_code": ended.returncode, "verdict": "none", "said": said[-3:]}
        return found(json.loads(path.read_text())) | {"exit_code": ended.returncode}


def found(journal: dict[str, Any]) -> dict[str, Any]:
    """The figures of one journal."""
    phases = {phase["name"]: phase for phase in journal["phases"]}
    processor = {phase["name"]: phase for phase in (journal.get("processor") or {}).get("phases", ())}
    baseline = processor.get("baseline", {})
    capacity = journal["load"].get("capacity") or {}
    return {
        "verdict": journal["verdict"],
        "reasons": list(journal["reasons"]),
        "service_s": journal["recovery"]["service_s"],
        "capacity_s": journal["recovery"]["capacity_s"],
        "lost": journal["recovery"]["lost_requests"],
        "planned": journal["load"]["planned"],
        "carried_per_s": capacity.get("measured"),
        "rate_per_s": journal["load"].get("rate"),
        "ttft_p99_s": phases.get("baseline", {}).get("ttft_p99_s"),
        "lag_p99_s": journal["load"]["lag_p99_s"],
        "busy_share": {name: phase["busy_share"] for name, phase in processor.items()},
        "full_share": {name: phase["full_share"] for name, phase in processor.items()},
        "cores": {role: cost["cores"] for role, cost in baseline.get("roles", {}).items()},
        "others_cores": baseline.get("others_cores"),
        "ms_per_request": {role: cost["ms_per_request"] for role, cost in baseline.get("roles", {}).items()},
        "ms_per_token": baseline.get("ms_per_token"),
    }


def line(number: int, run: dict[str, Any]) -> str:
    """One run in one line."""
    if "planned" not in run:
        return f"{number:2} exit {run['exit_code']}: {' / '.join(run['said'])}"
    cores = ", ".join(f"{role} {used:.2f}" for role, used in run["cores"].items())
    return (
        f"{number:2} {run['verdict']:12} exit {run['exit_code']}  service {run['service_s']}  "
        f"capacity {run['capacity_s']}  "
        f"lost {run['lost']} of {run['planned']}  carried {run['carried_per_s']}/s  rate {run['rate_per_s']}/s  "
        f"P99 {run['ttft_p99_s']}  busy {run['busy_share'].get('baseline')}  cores: {cores}, others "
        f"{run['others_cores']}  {' / '.join(run['reasons'])}"
    )


def main() -> int:
    """Run, print and keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--busy-cores", type=int, default=0)
    parser.add_argument("--quota", type=float)
    parser.add_argument("--experiment", type=Path, default=ROOT / "chaos/experiments/pod-kill-30.yaml")
    parser.add_argument("--json", type=Path, help="appends a line a run to this file")
    options = parser.parse_args()
    verdicts = []
    with ExitStack() as stack:
        stack.enter_context(busy(options.busy_cores))
        members = None if options.quota is None else stack.enter_context(quota(options.quota))
        for number in range(1, options.times + 1):
            run = one_run(options.experiment.absolute(), members)
            run |= {"busy_cores": options.busy_cores, "quota": options.quota}
            verdicts.append(run["verdict"])
            print(line(number, run), flush=True)
            if options.json is not None:
                with options.json.open("a") as file:
                    file.write(json.dumps(run) + "\n")
    return int(verdicts != ["passed"] * options.times)


if __name__ == "__main__":
    sys.exit(main())
