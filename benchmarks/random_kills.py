"""SIGKILL any process of a run, at a random instant of a random short experiment, 100 times: nothing may be left.

    python -m benchmarks.random_kills [--times 100] [--seed 1] [--only runner,supervisor]

Each time an experiment is drawn (how many replicas of which kind, which faults), one of its processes (runner,
supervisor, proxy, gateway, prometheus, load, standby, a replica), and how often it is hit. Then the run comes to its
end, however that is; and there must be no process of it, stopped or not, no port that it listened on, and on disk
nothing that `aftershock recover` does not remove: which is called twice, from another folder, and has nothing to do the
second time. Prints a line for each, and `100/100 left nothing behind` at the end; exits 1 otherwise. The seed of each
line repeats that line alone (`--times 1 --seed N`). Takes about half an hour.
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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from benchmarks.kill_runner import leftovers, listening, ports_of

ROOT = Path(__file__).parent.parent
TOY = ROOT / "tests" / "support" / "toy_replica.py"
NAME = "random-kill"
VICTIMS = ("runner", "supervisor", "proxy", "gateway", "prometheus", "load", "standby", "replica")
GRACE_S = 10.0
"""For what is left to end once the runner has: the lease is 5 s."""
RUN_ENDS_WITHIN_S = 120.0
LATEST_S = 14.0
"""Of a kill, after the start of the run: a few come when it is over by itself, and are drawn again."""

API = {"EngineChaos": "aftershock.dev/v1alpha1"}
POD, NETWORK, STRESS, ENGINE = "PodChaos", "NetworkChaos", "StressChaos", "EngineChaos"
MANIFESTS: dict[str, tuple[str, dict[str, object]]] = {
    "kill": (POD, {"action": "pod-kill"}),
    "failure": (POD, {"action": "pod-failure", "duration": "3s"}),
    "container": (POD, {"action": "container-kill", "containerNames": ["reference-server"]}),
    "delay": (NETWORK, {"action": "delay", "delay": {"latency": "100ms"}, "duration": "3s"}),
    "loss": (NETWORK, {"action": "loss", "loss": {"loss": "30"}, "duration": "3s"}),
    "partition": (NETWORK, {"action": "partition", "direction": "both", "duration": "3s"}),
    "stress": (STRESS, {"stressors": {"cpu": {"workers": 1, "load": 20}}, "duration": "3s"}),
    "freeze": (ENGINE, {"action": "freeze", "duration": "3s"}),
}
OF_THE_SERVER: dict[str, tuple[str, dict[str, object]]] = {
    "gray": (ENGINE, {"action": "gray-failure", "duration": "3s"}),
    "stuck": (ENGINE, {"action": "stuck-stream", "afterTokens": 2, "duration": "3s"}),
}
"""Faults of the reference server's own, which takes longer to start than a toy."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One kill as it was drawn."""

    experiment: dict[str, object]
    manifests: dict[str, dict[str, object]]
    victim: str
    after_s: float
    times: int
    """One after another, a moment apart: what takes the victim's place is hit as well."""

    def __str__(self) -> str:
        names = "+".join(self.manifests)
        return f"{self.victim} x{self.times} at {self.after_s:4.1f} s, {names}"


def draw(seed: int, victims: Sequence[str]) -> Drawn:
    """The experiment and the kill of a seed."""
    rng = random.Random(seed)
    victim = rng.choice(victims)
    standby = victim == "standby" or rng.random() < 0.3
    possible = {**MANIFESTS, **OF_THE_SERVER} if standby else MANIFESTS
    chosen = rng.sample(sorted(possible), rng.randint(1, 2))
    local: dict[str, object] = {"replicas": rng.randint(2, 4)}
    if standby:
        local["env"] = {"DS_MODEL_NAME": "tiny", "DS_TORCH_THREADS": "1"}
    else:
        local["command"] = ["python", str(TOY), "--port", "{port}", "--metrics-port", "{metrics_port}"]
        if rng.random() < 0.5:
            local["command"] = [*local["command"], rng.choice(["--ignore-sigterm", "--fork"])]  # type: ignore[misc]
    experiment = {
        "experiment": NAME,
        "hypothesis": "Whatever is killed, nothing is left behind.",
        "seed": seed,
        "target": {"local": local},
        "load": {"rate": 15, "output_tokens": 8},
        "phases": {"warmup": "500ms", "baseline": "3s", "observe": "9s"},
        "faults": [
            {
                "manifest": f"{name}.yaml",
                "at": f"{rng.uniform(0.2, 2.5):.1f}s",
                "max_targets": 2,
                "jitter": "0s",
            }
            for name in chosen
        ],
        "slo": {"ttft": "2s", "e2e": "2500ms"},
        "recovery": {"goodput": "10%", "error_ratio": "90%", "hold": "500ms", "within": "2s"},
        "assertions": ["requests(all) >= 1"],
    }
    manifests = {name: manifest(name, rng) for name in chosen}
    return Drawn(experiment, manifests, victim, rng.uniform(0.2, LATEST_S), rng.choice([1, 1, 1, 3]))


def manifest(name: str, rng: random.Random) -> dict[str, object]:
    """One fault of a random replica or two."""
    kind, spec = {**MANIFESTS, **OF_THE_SERVER}[name]
    return {
        "apiVersion": API.get(kind, "chaos-mesh.org/v1alpha1"),
        "kind": kind,
        "metadata": {"name": f"random-{name}", "namespace": "inference"},
        "spec": {
            "mode": "fixed",
            "value": str(rng.randint(1, 2)),
            "selector": {"namespaces": ["inference"], "labelSelectors": {"app": "reference-server"}},
            **spec,
        },
    }


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
    while (
        left := leftovers(mark)
    ) or listening() & ports:  # a port may be somebody else's by now, for a moment
        if time.monotonic() > until_s:
            break
        time.sleep(0.1)
    problems = []
    for process in left:
        with suppress(psutil.Error):
            stopped = " (stopped)" if process.status() == psutil.STATUS_STOPPED else ""
            problems.append(f"process {process.pid}{stopped}: {' '.join(process.cmdline()[:6])}")
            process.kill()
    return problems + [f"listening port {port}" for port in sorted(listening() & ports)]


def recovered(environment: dict[str, str], out: Path) -> list[str]:
    """What `aftershock recover` leaves, or cannot do twice."""
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "chaos", "recover"],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        said.append((done.returncode, done.stdout + done.stderr))
    problems = [f"recover: exit code {code}: {text.strip()}" for code, text in said if code != 0]
    if f"run {NAME}-" in said[1][1]:  # runs of others may be lost in this very moment
        problems.append(f"recover has something to do the second time: {said[1][1].strip()}")
    state = Path(environment["XDG_STATE_HOME"])
    files = [
        path
        for path in (*state.rglob("*"), *out.glob("scratch"), *out.glob("scratch/*"))
        if not path.is_dir()
    ]
    return problems + [f"file {path}" for path in files]


def one(seed: int, victims: Sequence[str], say: Callable[[str], None]) -> list[str] | None:
    """One kill from start to end: what was left, a line each; None where the run was over before."""
    drawn, rng = draw(seed, victims), random.Random(f"when {seed}")
    mark = f"random-kill-{seed}-{os.getpid()}"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "experiment.yaml").write_text(yaml.safe_dump(drawn.experiment))
        for name, values in drawn.manifests.items():
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(values))
        environment = {**os.environ, "AFTERSHOCK_TEST_MARK": mark, "XDG_STATE_HOME": f"{folder}/state"}
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
        del environment["AFTERSHOCK_TEST_MARK"]
        problems += [*what_is_left(mark, ports), *recovered(environment, folder / "run")]
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


def main() -> int:
    """Kill as often as asked; the exit code says whether anything was ever left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(VICTIMS), help="whom to kill, of " + ", ".join(VICTIMS))
    options = parser.parse_args()
    clean, killed, seed, tally = 0, 0, options.seed, dict.fromkeys(VICTIMS, 0)
    while killed < options.times:
        problems = one(seed, options.only.split(","), lambda line: print(line, flush=True))
        if problems is not None:
            killed += 1
            clean += not problems
            tally[draw(seed, options.only.split(",")).victim] += 1
        for problem in problems or ():
            print(f"  LEFT BEHIND: {problem}", flush=True)
        seed += 1
    print(json.dumps(tally))
    print(f"{clean}/{options.times} left nothing behind")
    return 0 if clean == options.times else 1


if __name__ == "__main__":
    sys.exit(main())
