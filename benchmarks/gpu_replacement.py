"""How soon is a replacement ready on a GPU? Three at once, forked from a standby, as the last three are killed.

    python -m benchmarks.gpu_replacement [--model 135m] [--rounds 6] [--turns 2] [--against CHECKOUT] [--json FILE]

Beside seven replicas that idle; the checkouts in turns, from a cache of compiled kernels that the first start of each
fills. Some twenty seconds a turn.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.gpu_warm import KILLED, Machine, Started, all_started, memory_used
from benchmarks.replica import ROOT

BESIDE = 7


@dataclass(frozen=True)
class Turn:
    """What one checkout's replacements took."""

    ready_s: list[float]
    """From the command to `/readyz`."""
    stages_s: Mapping[str, float]
    """Medians of the logs' stages."""
    memory_used_mib: int | None
    """The card's, with ten."""

    def line(self) -> str:
        """All of it in words."""
        ready = f"{median(self.ready_s):.2f} s ({self.ready_s[0]:.2f} to {self.ready_s[-1]:.2f})"
        return f"ready after {ready}, {dict(self.stages_s)}, memory {self.memory_used_mib} MiB"


def turn(machine: Machine, address: str, rounds: int) -> Turn:
    """Replace three replicas so many times, beside seven others of the standby at this address."""
    found: list[Started] = []
    with ExitStack() as running:
        running.enter_context(standby(machine, address))
        all_started(running, machine, BESIDE)
        last = all_started(running, machine, KILLED)
        for _ in range(rounds):
            for one in last:
                one.replica.process.kill()
            last = all_started(running, machine, KILLED)
            found += last
        stages = [one.stages() for one in found]
        stages_s = {name: round(median(one[name] for one in stages), 3) for name in stages[0]}
        return Turn(sorted(one.ready_s for one in found), stages_s, memory_used())


@contextmanager
def standby(machine: Machine, address: str) -> Iterator[None]:
    """One that has imported everything."""
    command = [sys.executable, "-m", "reference_server", "--standby", address]
    env = {**os.environ, **machine.environ}
    with subprocess.Popen(command, cwd=machine.checkout, env=env, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.readline()
        try:
            yield
        finally:
            process.kill()


def main() -> None:
    """Measure this checkout, in turns with another where that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="135m")
    parser.add_argument("--rounds", type=int, default=6, help="replacements of three a turn (default: 6)")
    parser.add_argument("--turns", type=int, default=2, help="of each checkout (default: 2)")
    parser.add_argument("--against", type=Path, help="another checkout, measured in turns with this one")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    checkouts = {"before": options.against.resolve()} if options.against else {}
    turns: dict[str, list[Turn]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        address = f"{temporary}/standby.sock"
        machines = {
            name: Machine(checkout, options.model, Path(temporary) / name, "--from", address)
            for name, checkout in (checkouts | {"now": ROOT}).items()
        }
        for _ in range(options.turns):
            for name, machine in machines.items():
                one = turn(machine, address, options.rounds)
                turns.setdefault(name, []).append(one)
                print(f"{name:7} {one.line()}", flush=True)
    if options.json:
        rows = {name: [asdict(one) for one in found] for name, found in turns.items()}
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
