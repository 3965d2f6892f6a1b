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
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.gpu_warm import SETTINGS, STAGE, memory_used
from benchmarks.replica import ROOT, Replica, replica

BESIDE, AT_ONCE = 7, 3


@dataclass(frozen=True)
class Turn:
    """What one checkout's replacements took."""

    ready_s: list[float]
    """From the command to `/readyz`."""
    stages_s: Mapping[str, float]
    """Medians of the logs' stages; `Model initialized` is the sum, with what lies between."""
    memory_used_mib: int | None
    """The card's, with ten."""

    def line(self) -> str:
        """All of it in words."""
        ready = f"{median(self.ready_s):.2f} s ({self.ready_s[0]:.2f} to {self.ready_s[-1]:.2f})"
        return f"ready after {ready}, {dict(self.stages_s)}, memory {self.memory_used_mib} MiB"


class Cluster:
    """A checkout's replicas, all forked from its standby at this socket."""

    def __init__(self, checkout: Path, environ: Mapping[str, str], folder: Path) -> None:
        self._checkout, self._environ, self._folder = checkout, environ, folder
        self._address = str(folder / "standby.sock")
        self.logs: list[Path] = []

    @contextmanager
    def standby(self) -> Iterator[None]:
        """It has imported everything."""
        command = [sys.executable, "-m", "reference_server", "--standby", self._address]
        env = {**os.environ, **self._environ}
        with subprocess.Popen(command, cwd=self._checkout, env=env, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            process.stderr.readline()
            try:
                yield
            finally:
                process.kill()

    def start(self, running: ExitStack, count: int) -> tuple[list[Replica], list[float]]:
        """So many at once, and how long each took to be ready."""

        def started(log: Path) -> tuple[Replica, float]:
            began_s = time.monotonic()
            one = running.enter_context(
                replica(self._environ, "--from", self._address, checkout=self._checkout, log=log)
            )
            return one, time.monotonic() - began_s

        logs = [self._folder / f"replica-{len(self.logs) + i}.log" for i in range(count)]
        self.logs += logs
        with ThreadPoolExecutor(count) as pool:
            found = list(pool.map(started, logs))
        return [one for one, _ in found], [took_s for _, took_s in found]

    def stages_s(self, logs: int) -> dict[str, float]:
        """Medians over the last so many logs."""
        stages_s: dict[str, list[float]] = {}
        for log in self.logs[-logs:]:
            for name, seconds in STAGE.findall(log.read_text()):
                stages_s.setdefault(name, []).append(float(seconds))
        return {name: median(values) for name, values in stages_s.items()}


def turn(checkout: Path, environ: Mapping[str, str], rounds: int) -> Turn:
    """Replace three replicas so many times, and once before that for the kernels' sake."""
    ready_s: list[float] = []
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as running:
        cluster = Cluster(checkout, environ, Path(temporary))
        running.enter_context(cluster.standby())
        cluster.start(running, BESIDE)
        last, _ = cluster.start(running, AT_ONCE)
        for _ in range(rounds):
            for one in last:
                one.process.kill()
            last, seconds = cluster.start(running, AT_ONCE)
            ready_s += seconds
        return Turn(sorted(ready_s), cluster.stages_s(rounds * AT_ONCE), memory_used())


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
    with tempfile.TemporaryDirectory() as cache:
        environ = {**SETTINGS, "DS_MODEL_NAME": options.model, "TRITON_CACHE_DIR": cache}
        for _ in range(options.turns):
            for name, checkout in (checkouts | {"now": ROOT}).items():
                one = turn(checkout, environ, options.rounds)
                turns.setdefault(name, []).append(one)
                print(f"{name:7} {one.line()}", flush=True)
    if options.json:
        rows = {name: [asdict(one) for one in found] for name, found in turns.items()}
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
