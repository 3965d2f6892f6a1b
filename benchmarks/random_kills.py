"""SIGKILL any process of a run, at a random instant of a random short experiment, 100 times: nothing may be left.

    python -m benchmarks.random_kills [--times 100] [--seed 1] [--only runner,supervisor] [--lanes 8] [--toys]

Each time an experiment is drawn (how many replicas of which kind, which faults), one of its processes (runner,
supervisor, proxy, gateway, prometheus, load, standby, a replica), and how often it is hit. Then the run comes to its
end, however that is; and there must be no process of it, stopped or not, no port that it listened on, and on disk
nothing that `aftershock recover` does not remove: which is called twice, from another folder, and has nothing to do the
second time. Prints a line for each, and `100/100 left nothing behind` at the end; exits 1 otherwise. The seed of each
line repeats that line alone (`--times 1 --seed N`). Takes about half an hour in one lane.
With more, so many runs go on at once, each on its share of the cores (two will do), with a name and a state folder of
its own: what one lane leaves, no other cleans up or is blamed for. `--toys` has no replicas of the reference server,
for where there is no torch. A last look, when all are over, must find nothing of any of them.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import psutil
import yaml

from benchmarks.kill_draws import NAME, VICTIMS, Drawn, draw, name_of
from benchmarks.kill_runner import MARK, leftovers, ports_of
from benchmarks.lanes import pool_of_lanes

ROOT = Path(__file__).parent.parent
GRACE_S = 10.0
"""For what is left to end once the runner has: the lease is 5 s."""
RUN_ENDS_WITHIN_S = 120.0


def role(process: psutil.Process, runner: int) -> str:
    """Which part of the run a process is."""
    if process.pid == runner:
        return "runner"
    with suppress(psutil.Error):
        words = " ".join(process.cmdline())
        for part in ("supervisor", "proxy", "gateway"):
            if f"chaos.targets.local.{part}" in words:
                return part
        for part, sign in (("load", "locust"), ("prometheus", "prometheus"), ("standby", "--standby")):
            if sign in words:
                return part
        if "toy_replica" in words or "reference_server" in words:
            return "replica"
    return "other"


def kill(
    drawn: Drawn, mark: str, runner: "subprocess.Popen[bytes]", rng: random.Random
) -> tuple[int, set[int]]:
    """Hit the victim as often as drawn, as soon as there is one; how often it was, and the ports of the run by then."""
    hit, ports, until_s = 0, set[int](), time.monotonic() + RUN_ENDS_WITHIN_S
    while hit < drawn.times and runner.poll() is None and time.monotonic() < until_s:
        processes = leftovers(mark)
        ports |= ports_of(processes)
        there = [each for each in processes if role(each, runner.pid) == drawn.victim]
        if not there:
            time.sleep(0.05)
            continue
        with suppress(psutil.Error):  # psutil looks at the start time first
            rng.choice(there).send_signal(signal.SIGKILL)
            hit += 1
        time.sleep(rng.uniform(0.0, 0.3))
    return hit, ports


def what_is_left(mark: str, ports: set[int]) -> list[str]:
    """What there is of a run after its grace, a line each; it is ended."""
    until_s = time.monotonic() + GRACE_S
    while (left := leftovers(mark)) or _listening(ports, mark):  # a stranger's by now, for a moment
        if time.monotonic() > until_s:
            break
        time.sleep(0.1)
    problems = []
    for process in left:
        with suppress(psutil.Error):
            stopped = " (stopped)" if process.status() == psutil.STATUS_STOPPED else ""
            problems.append(f"process {process.pid}{stopped}: {' '.join(process.cmdline()[:6])}")
            process.kill()
    return problems + [f"listening port {port}" for port in sorted(_listening(ports, mark))]


def _listening(ports: set[int], mark: str) -> set[int]:
    """Which of these ports are listened on, and not by the run of another lane, which drew it since."""
    listeners = {
        each.laddr.port: each.pid
        for each in psutil.net_connections("tcp")
        if each.laddr and each.status == psutil.CONN_LISTEN
    }
    return {port for port in ports & listeners.keys() if _mark_of(listeners[port]) in ("", mark)}


def _mark_of(pid: int | None) -> str:
    with suppress(psutil.Error, OSError):
        return psutil.Process(pid).environ().get(MARK, "") if pid is not None else ""
    return ""


def recovered(seed: int, environment: dict[str, str], out: Path) -> list[str]:
    """What `aftershock recover` leaves, or cannot do twice."""
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "chaos", "recover", f"{name_of(seed)}-*"],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        said.append((done.returncode, done.stdout + done.stderr))
    problems = [f"recover: exit code {code}: {text.strip()}" for code, text in said if code != 0]
    if f"run {name_of(seed)}-" in said[1][1]:
        problems.append(f"recover has something to do the second time: {said[1][1].strip()}")
    state = Path(environment["XDG_STATE_HOME"])
    files = [
        path
        for path in (*state.rglob("*"), *out.glob("scratch"), *out.glob("scratch/*"))
        if not path.is_dir()
    ]
    return problems + [f"file {path}" for path in files]


def one(drawn: Drawn, say: Callable[[str], None]) -> list[str] | None:
    """One kill from start to end: what was left, a line each; None where the run was over before."""
    seed, rng = drawn.seed, random.Random(f"when {drawn.seed}")
    mark = f"random-kill-{seed}-{os.getpid()}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "experiment.yaml").write_text(yaml.safe_dump(drawn.experiment))
        for name, values in drawn.manifests.items():
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(values))
        environment = {**os.environ, MARK: mark, "XDG_STATE_HOME": f"{folder}/state"}
        environment["PYTHONPATH"] = str(ROOT)
        began_s = time.monotonic()
        with (folder / "log").open("wb") as log:
            runner = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "chaos",
                    "run",
                    str(folder / "experiment.yaml"),
                    "--out",
                    f"{folder}/run",
                ],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
            )
        with suppress(subprocess.TimeoutExpired):
            runner.wait(drawn.after_s)
        hit, ports = kill(drawn, mark, runner, rng)
        problems = [] if _ends(runner) else [f"the run did not end within {RUN_ENDS_WITHIN_S:g} s"]
        del environment[MARK]
        problems += [*what_is_left(mark, ports), *recovered(seed, environment, folder / "run")]
        if runner.returncode == 2:
            problems.append(f"it was refused: {(folder / 'log').read_text()[-400:]}")
        say(
            f"seed {seed}: {drawn}: hit {hit}, exit code {runner.returncode}, {len(ports)} ports, "
            f"{time.monotonic() - began_s:.0f} s"
        )
        return problems if hit or problems else None


def _ends(runner: "subprocess.Popen[bytes]") -> bool:
    with suppress(subprocess.TimeoutExpired):
        runner.wait(RUN_ENDS_WITHIN_S)
        return True
    runner.kill()
    runner.wait()
    return False


def kills(
    times: int, first: int, lanes: int, drawing: Callable[[int], Drawn]
) -> Iterator[tuple[Drawn, list[str]]]:
    """So many kills from a seed on, as many at a time as there are lanes, and what each one left.

    Another is begun only where it is needed: a run that was over before its kill is drawn again, as the next seed.
    """
    seeds, say = count(first), partial(print, flush=True)
    going: dict[Future[list[str] | None], Drawn] = {}
    with pool_of_lanes(lanes) as pool:
        while times:
            while len(going) < min(lanes, times):
                drawn = drawing(next(seeds))
                going[pool.submit(one, drawn, say)] = drawn
            for done in wait(going, return_when=FIRST_COMPLETED).done:
                drawn, problems = going.pop(done), done.result()
                if problems is not None:
                    times -= 1
                    yield drawn, problems


def still_lost() -> list[str]:
    """What is left of any kill of this call, now that all are over."""
    command = [sys.executable, "-m", "chaos", "recover", "--dry-run", f"{NAME}-*"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return [line for line in found.splitlines() if line.startswith("run ")]


def main() -> int:
    """Kill as often as asked; the exit code says whether anything was ever left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(VICTIMS), help="whom to kill, of " + ", ".join(VICTIMS))
    parser.add_argument("--lanes", type=int, default=1, help="how many runs at once")
    parser.add_argument("--toys", action="store_true", help="no replica of the reference server")
    options = parser.parse_args()
    victims = [name for name in options.only.split(",") if not (options.toys and name == "standby")]
    if not victims or set(victims) - set(VICTIMS):
        parser.error(f"--only: expected some of {', '.join(VICTIMS)}, not {options.only}")
    clean, tally = 0, dict.fromkeys(victims, 0)
    drawing = partial(draw, victims=victims, toys=options.toys)
    for drawn, problems in kills(options.times, options.seed, options.lanes, drawing):
        clean += not problems
        tally[drawn.victim] += 1
        for problem in problems:
            print(f"  LEFT BEHIND by seed {drawn.seed}: {problem}", flush=True)
    lost = still_lost()
    for line in lost:
        print(f"  LEFT BEHIND: {line}", flush=True)
    print(json.dumps(tally))
    print(f"{clean}/{options.times} left nothing behind")
    return 0 if clean == options.times and not lost else 1


if __name__ == "__main__":
    sys.exit(main())
