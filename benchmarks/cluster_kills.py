"""SIGKILL a runner at random instants on a live cluster with Chaos Mesh: the reaper leaves no object of it.

    python -m benchmarks.cluster_kills --namespace NAME --label app=idle [--context C] [--times 20] [--seed 1]
                                       [--run EXPERIMENT.yaml] [--reaper in-cluster] [--in-fault]

Each time a runner starts, takes the namespace's lease, injects one fault after another into pods with the label
(partition, bandwidth, pod-failure, stress, pod-kill; or whatever `aftershock run EXPERIMENT.yaml` does) and is killed
between its start and `--latest` seconds later, wherever it is then: before its lease, in a call, in mid-fault, while it
undoes. Then there must come an instant from which on no object with our labels is in the namespace, and nothing in any
PodNetworkChaos; the lease is left to lapse. The reaper is a process beside it, or the Deployment that is in the cluster
already. Prints a line for each and `20/20 left no object` at the end; exits 1 otherwise. Half a minute a kill.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from chaos.targets.kubernetes import marks
from chaos.targets.kubernetes.calls import Calls
from chaos.targets.kubernetes.marks import OURS
from chaos.targets.kubernetes.objects import Item, chaos, pods
from chaos.targets.kubernetes.undoing.lease import DURATION_S, Lease
from chaos.targets.kubernetes.undoing.lost_objects import ours
from chaos.targets.kubernetes.undoing.resorts import Undoing

GONE_WITHIN_S = 180.0
HOLD_S = 2.0
QUIET_S = 2.0
"""For how long nothing of a run that is dead may come back."""
FAULTS: dict[str, tuple[str, dict[str, object]]] = {
    "partition": ("NetworkChaos", {"action": "partition", "direction": "both", "duration": "60s"}),
    "bandwidth": (
        "NetworkChaos",
        {
            "action": "bandwidth",
            "duration": "60s",
            "bandwidth": {"rate": "1mbps", "limit": 20971520, "buffer": 10000},
        },
    ),
    "failure": ("PodChaos", {"action": "pod-failure", "duration": "60s"}),
    "stress": ("StressChaos", {"stressors": {"cpu": {"workers": 1, "load": 5}}, "duration": "60s"}),
    "kill": ("PodChaos", {"action": "pod-kill"}),
}


def shake(given: argparse.Namespace) -> None:
    """The runner: one fault after another under one lease, until somebody ends it."""
    calls, rng, run = Calls.connect(given.context), random.Random(given.seed), f"kills-{os.getpid()}"
    with Lease(calls, given.namespace, run) as lease:
        for number in range(1000):
            name, (kind, spec) = rng.choice(sorted(FAULTS.items()))
            victims = [
                item["metadata"]["name"]
                for item in calls.list(pods(given.namespace), labels=given.label, within_s=5)
            ]
            body: Item = {
                "apiVersion": "chaos-mesh.org/v1alpha1",
                "kind": kind,
                "metadata": {
                    "name": f"{run}-{name}-{number}",
                    "namespace": given.namespace,
                    "labels": marks.labels(run),
                    "annotations": {marks.OCCURRENCE: f"{name}#{number}"},
                },
                "spec": {
                    "mode": "all",
                    "selector": {"pods": {given.namespace: [rng.choice(victims)]}},
                    **spec,
                },
            }
            lease.require()
            calls.create(chaos(kind.lower(), given.namespace), body, within_s=10)
            print(f"{time.monotonic():.1f} {name}", flush=True)
            time.sleep(HOLD_S)
            Undoing(calls, lambda act: print(act, flush=True)).undo([body])


def runner(given: argparse.Namespace, seed: int) -> list[str]:
    """The command that is killed."""
    if given.run:
        return [sys.executable, "-m", "chaos", "run", given.run]
    where = ["--namespace", given.namespace, "--label", given.label, "--seed", str(seed)]
    context = ["--context", given.context] if given.context else []
    return [sys.executable, "-m", "benchmarks.cluster_kills", "--shake", *where, *context]


def kill_once(given: argparse.Namespace, calls: Calls, seed: int) -> tuple[bool, str]:
    """Start a runner, kill it, wait; whether nothing is left, and a line about it."""
    after_s = random.Random(seed).uniform(0.3, given.latest)
    with subprocess.Popen(
        runner(given, seed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as child:
        if given.in_fault:
            until_first(calls, given.namespace, child)
        time.sleep(after_s)
        alone = child.poll() is None
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    found = names(calls, given.namespace)
    killed_s, quiet_s = time.monotonic(), time.monotonic()
    while time.monotonic() - killed_s < GONE_WITHIN_S:
        if names(calls, given.namespace):
            quiet_s = time.monotonic()
        elif time.monotonic() - quiet_s > QUIET_S:
            break
        time.sleep(0.2)
    left = names(calls, given.namespace)
    took_s = quiet_s - killed_s if found else 0.0
    # A lease that has not lapsed yet would refuse the next runner, and that kill would be of nothing.
    time.sleep(max(0.0, DURATION_S + 3 - (time.monotonic() - killed_s)))
    when = f"killed after {after_s:4.1f} s ({'running' if alone else 'OVER BY ITSELF'})"
    what = f"{', '.join(found) or 'no object'}; gone after {took_s:4.1f} s"
    return not left, f"seed {seed}: {when}: {what}" + (f"; LEFT: {left}" if left else "")


def until_first(calls: Calls, namespace: str, child: "subprocess.Popen[bytes]") -> None:
    """Wait until a runner has made its first object, or is over by itself."""
    while child.poll() is None and not ours(calls, namespace, OURS):
        time.sleep(0.05)


def names(calls: Calls, namespace: str) -> list[str]:
    """Every object that a run made and that is there, and every pod in whose PodNetworkChaos something is."""
    networks = calls.list(chaos("podnetworkchaos", namespace), within_s=10)
    entries = [item["metadata"]["name"] for item in networks if any((item.get("spec") or {}).values())]
    return [item["metadata"]["name"] for item in ours(calls, namespace, OURS)] + entries


@contextmanager
def reaper(given: argparse.Namespace) -> Iterator[None]:
    """The reaper as a process of ours, unless it is in the cluster."""
    if given.reaper == "in-cluster":
        yield
        return
    context = given.context or "box"
    command = [
        sys.executable,
        "-m",
        "chaos.targets.kubernetes.undoing.reaper",
        "--namespace",
        given.namespace,
        "--port",
        "0",
    ]
    with subprocess.Popen([*command, "--context", context]) as process:
        try:
            yield
        finally:
            process.terminate()


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill runners; 0 where none of them left an object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--label", default="app=reference-server")
    parser.add_argument("--context")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--latest", type=float, default=12.0)
    parser.add_argument("--in-fault", action="store_true", help="count the instants from the first object on")
    parser.add_argument("--run")
    parser.add_argument("--reaper", choices=["process", "in-cluster"], default="process")
    parser.add_argument("--shake", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.shake:
        shake(given)
        return 0
    calls, clean = Calls.connect(given.context), 0
    with reaper(given):
        for seed in range(given.seed, given.seed + given.times):
            nothing, line = kill_once(given, calls, seed)
            clean += nothing
            print(line, flush=True)
    print(f"{clean}/{given.times} left no object")
    return 0 if clean == given.times else 1


if __name__ == "__main__":
    sys.exit(main())
