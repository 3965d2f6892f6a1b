"""What the standby gives: ten replicas at the start, one replacement under the demo's load, and the memory of all.

    python -m benchmarks.replica_start [--kills 10] [--rate 10] [--rounds 1]

The cluster of `chaos/experiments/pod-kill-30.yaml`, its replicas forked from one process and started anew, in turns.
Under open-loop load at `--rate` requests per second one replica after another is killed. Prints every round, then JSON.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import yaml

from benchmarks.replica import ROOT
from chaos.load.config import served_model
from chaos.load.process import Load, LoadConfig
from chaos.targets.effects import Termination
from chaos.targets.identity import of_run
from chaos.targets.local.options import DEFAULT_COMMAND, STANDBY
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.target import LocalTarget

EXPERIMENT = ROOT / "chaos/experiments/pod-kill-30.yaml"
SETTLED_S = 2.0
"""Between a replacement's readiness and the next kill."""


@dataclass(frozen=True)
class Round:
    """One cluster from its start to its end; times in seconds, memory in MB of proportional set size."""

    forked: bool
    all_ready_s: float
    """From the supervisor's start, the import included."""
    all_ready_after_first_process_s: float
    """From the moment the first replica's process exists: where they are forked, the import is over then."""
    memory_mb: float
    """Of replicas and standby together."""
    replacements_s: list[float]
    """Each from the kill to its readiness."""


def kept(target: LocalTarget, kind: str) -> list[float]:
    """When each event of that kind happened."""
    return [event.at_s for event in target.events() if event.kind == kind]


def memory_mb(run_id: str) -> float:
    """Of all replicas and their standby."""
    servers = [psutil.Process(process.pid) for process in of_run(run_id)]
    return sum(one.memory_full_info().pss for one in servers if "reference_server" in one.cmdline()) / 1e6


def measured(*, forked: bool, kills: int, rate: float) -> Round:
    """One round."""
    local = yaml.safe_load(EXPERIMENT.read_text())["target"]["local"]
    with tempfile.TemporaryDirectory() as name:
        spec = LocalSpec(
            run_id=f"start-{uuid.uuid4()}", run_folder=Path(name), replicas=local["replicas"], command=DEFAULT_COMMAND,
            env=local["env"], standby=STANDBY if forked else (),
        )  # fmt: skip
        began_s = time.monotonic()
        with LocalTarget(spec) as target:
            ready_s = kept(target, "target_started")[0]
            first_s = kept(target, "replica_running")[0]
            memory = memory_mb(spec.run_id)
            replacements_s = replaced(target, Path(name), kills, rate)
        return Round(
            forked, round(ready_s - began_s, 2), round(ready_s - first_s, 2), round(memory), replacements_s
        )


def replaced(target: LocalTarget, folder: Path, kills: int, rate: float) -> list[float]:
    """Kill one replica after another under load; how long each replacement took."""
    url = target.endpoints().url
    config = LoadConfig(
        url=url, model=served_model(target.endpoints()), rate_per_s=rate, duration_s=3600, seed=1, marks=target.marks,
        plan_path=folder / "plan.jsonl", rows_path=folder / "requests.jsonl",
        summary_path=folder / "load.json", log_path=folder / "locust.log",
    )  # fmt: skip
    found = []
    with Load(config) as load:
        load.start()
        for number in range(kills):
            time.sleep(SETTLED_S)
            wanted = len(kept(target, "replica_ready")) + 1
            victims, occurrence = target.replicas()[:1], f"kill#{number}"
            target.aim(occurrence, [Termination(grace_s=0)], victims)
            at_s = target.inject(occurrence, victims)
            while len(kept(target, "replica_ready")) < wanted:
                time.sleep(0.01)
            found.append(round(kept(target, "replica_ready")[-1] - at_s, 2))
    return found


def main() -> int:
    """Print each round, and all of them as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rate", type=float, default=10.0, help="requests per second")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    rounds = []
    for forked in (True, False) * options.rounds:
        rounds.append(one := measured(forked=forked, kills=options.kills, rate=options.rate))
        print(
            f"{'forked' if forked else 'anew':7} ten ready {one.all_ready_s:5.2f} s, "
            f"{one.all_ready_after_first_process_s:5.2f} s after the first process; {one.memory_mb:,.0f} MB; "
            f"replacement {statistics.median(one.replacements_s):.2f} s (median), {max(one.replacements_s):.2f} max",
            flush=True,
        )
    print(json.dumps([asdict(one) for one in rounds]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
