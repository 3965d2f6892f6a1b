"""SIGKILL `aftershock run` at random instants of the demo, 20 times: no process, listening port or fault may be left.

    python -m benchmarks.kill_runner [--times 20] [--seed 1] [--experiment FILE]

Prints one line per kill and `20/20 left nothing behind` at the end; exits 1 otherwise. Takes about 15 minutes.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
MARK = "AFTERSHOCK_TEST_MARK"
GRACE_S = 10.0
"""The lease is 5 s; an end of file on the supervisor's input is noticed at once."""


def leftovers(mark: str) -> list[psutil.Process]:
    """Every process whose environment carries this run's mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def ports_of(processes: list[psutil.Process]) -> set[int]:
    """The ports on which these processes accept connections."""
    ports = set()
    for process in processes:
        with suppress(psutil.Error):
            ports |= {
                each.laddr.port
                for each in process.net_connections("tcp")
                if each.status == psutil.CONN_LISTEN
            }
    return ports


def listening() -> set[int]:
    """The ports of this host on which anything accepts connections."""
    connections = psutil.net_connections("tcp")
    return {each.laddr.port for each in connections if each.laddr and each.status == psutil.CONN_LISTEN}


def one_kill(experiment: Path, after_s: float, mark: str) -> list[str] | None:
    """Start a run, kill its runner `after_s` later, and say what was still there after the grace.

    None when the run had ended by itself before.
    """
    with tempfile.TemporaryDirectory() as out:
        runner = subprocess.Popen(
            [sys.executable, "-m", "chaos", "run", str(experiment), "--out", f"{out}/run"],
            cwd=ROOT,
            env={**os.environ, MARK: mark},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with suppress(subprocess.TimeoutExpired):
            print(f"  ended by itself with {runner.wait(after_s)}: once more", flush=True)
            return None
        started = leftovers(mark)
        ports = ports_of(started)
        runner.send_signal(signal.SIGKILL)
        runner.wait()
        killed_s = time.monotonic()
        while (left := leftovers(mark)) and time.monotonic() < killed_s + GRACE_S:
            time.sleep(0.1)
        print(
            f"  killed at {after_s:5.1f} s: {len(started)} processes, {len(ports)} ports; "
            f"all gone after {time.monotonic() - killed_s:.1f} s",
            flush=True,
        )
        problems = [f"process {process.pid} {' '.join(process.cmdline()[:4])}" for process in left]
        problems += [f"listening port {port}" for port in sorted(listening() & ports)]
        for process in left:
            process.kill()
        return problems


def main() -> int:
    """Kill as often as asked; the exit code says whether anything was ever left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--longest", type=float, default=80.0, help="latest instant of a kill, seconds after the start"
    )
    parser.add_argument("--experiment", type=Path, default=ROOT / "chaos/experiments/pod-kill-30.yaml")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    clean = 0
    for number in range(options.times):
        mark = f"kill-{number}-{os.getpid()}"
        while (problems := one_kill(options.experiment, draw.uniform(0.2, options.longest), mark)) is None:
            pass
        clean += not problems
        for problem in problems:
            print(f"  LEFT BEHIND: {problem}", flush=True)
    print(f"{clean}/{options.times} left nothing behind")
    return 0 if clean == options.times else 1


if __name__ == "__main__":
    sys.exit(main())
