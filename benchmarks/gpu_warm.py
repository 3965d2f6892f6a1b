"""Is a replica on a GPU warm when it says that it is ready? Starts, and the first requests after them.

    python -m benchmarks.gpu_warm [--model 135m] [--replicas 10] [--against CHECKOUT] [--json FILE]

From an empty cache of compiled kernels: the first replica of a machine, the second, all of them at once, and three that
replace three killed ones beside the rest. Each of the first two gets the same fifty requests of every kind twice: what
the first round waited for and the second did not, the replica was not ready for. Some two minutes a checkout; needs an
NVIDIA GPU.
"""

import argparse
import http.client
import json
import re
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.replica import ROOT, Replica, replica

SETTINGS = {"DS_TORCH_THREADS": "1", "DS_MAX_RUNNING": "16", "DS_KV_TOKENS": "16384"}
"""As in chaos/experiments/pod-kill-30-gpu.yaml."""
PROMPTS = (1, 17, 64, 150, 400, 900)
WAYS: Sequence[Mapping[str, float]] = (
    {"temperature": 0},
    {"temperature": 0.8},
    {"temperature": 1, "top_p": 0.6},
)
COMPANY = (1, 1, 2, 3, 5, 8, 14, 16)
"""Requests at once, fifty in all."""
KILLED = 3
STAGE = re.compile(r"(loaded weights|warming \w+|Model initialized).* seconds=([\d.]+)")
STAMP = re.compile(r"^(\S+ \S+),(\d+) .*(loading model=|Model initialized)")


@dataclass(frozen=True)
class Started:
    """A replica that is ready, and what its start took."""

    replica: Replica
    ready_s: float
    log: Path

    def stages(self) -> dict[str, float]:
        """Seconds of what the log tells of; `after import` is all that comes after torch is imported."""
        text = self.log.read_text()
        told = {name: float(seconds) for name, seconds in STAGE.findall(text)}
        stamps = [
            datetime.fromisoformat(found[1]).timestamp() + int(found[2]) / 1000
            for line in text.splitlines()
            if (found := STAMP.match(line))
        ]
        return told | {"after import": round(stamps[-1] - stamps[0], 3)} if stamps else told


class Machine:
    """One checkout's replicas with these options, over a cache of compiled kernels that is empty at first."""

    def __init__(self, checkout: Path, model: str, folder: Path, *options: str) -> None:
        self.checkout, self._options = checkout, options
        self._cache, self._logs = folder / "cache", folder
        self._cache.mkdir(parents=True)
        self.environ = {**SETTINGS, "DS_MODEL_NAME": model, "TRITON_CACHE_DIR": str(self._cache)}
        self._numbers = count()

    @contextmanager
    def started(self) -> Iterator[Started]:
        """A replica, and how long it took to become ready."""
        log = self._logs / f"replica-{next(self._numbers)}.log"
        began_s = time.monotonic()
        with replica(self.environ, *self._options, checkout=self.checkout, log=log) as one:
            yield Started(one, time.monotonic() - began_s, log)

    def compiled(self) -> int:
        """Kernels in the cache."""
        return sum(1 for _ in self._cache.glob("*/*.cubin"))


def ttft_s(port: int, salt: str, number: int) -> float:
    """From request to first token of one streamed answer."""
    prompt = (f"{salt} {number} " + "warm or not " * 80)[: PROMPTS[number % len(PROMPTS)]]
    order: dict[str, Any] = {
        "prompt": prompt,
        "max_tokens": 6,
        "stream": True,
        "ignore_eos": True,
        "seed": number,
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    began_s = time.monotonic()
    body = json.dumps({**order, **WAYS[number % len(WAYS)]})
    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"request {number}: {answer.status} {answer.read()[:200]!r}")
    answer.readline()
    first_s = time.monotonic() - began_s
    answer.read()
    connection.close()
    return first_s


def round_of_requests(port: int, salt: str) -> list[float]:
    """TTFT of fifty requests: every length with every way to draw, alone and in company."""
    found: list[float] = []
    with ThreadPoolExecutor(max(COMPANY)) as pool:
        for at_once in COMPANY:
            numbers = range(len(found), len(found) + at_once)
            found += pool.map(lambda number: ttft_s(port, salt, number), numbers)
    return found


def steps(one: Replica) -> dict[str, int]:
    """Steps so far, by how they were launched."""
    with urllib.request.urlopen(f"http://127.0.0.1:{one.metrics_port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        how: int(float(value))
        for how, value in re.findall(
            r'^ds_\w*steps\w*_total\{.*?"(graph|eager)".*?\} (\S+)', text, re.MULTILINE
        )
    }


def alone(machine: Machine) -> dict[str, Any]:
    """Start one replica, and ask it for everything twice."""
    with machine.started() as one:
        ready = machine.compiled()
        before = steps(one.replica)
        first = round_of_requests(one.replica.port, "first")
        again = round_of_requests(one.replica.port, "again")
        after = steps(one.replica)
        return {
            "ready_s": one.ready_s,
            "stages": one.stages(),
            "compiled_before_ready": ready,
            "compiled_after_ready": machine.compiled() - ready,
            "steps_after_ready": {how: after[how] - before.get(how, 0) for how in after},
            "first_ttft_ms": {"p50": 1e3 * median(first), "max": 1e3 * max(first)},
            "again_ttft_ms": {"p50": 1e3 * median(again), "max": 1e3 * max(again)},
            "worst_ratio": max(a / b for a, b in zip(first, again, strict=True)),
            "max_ratio": max(first) / max(again),
        }


def at_once(machine: Machine, replicas: int) -> dict[str, Any]:
    """Start all at once, then kill some and start as many beside the rest."""
    with ExitStack() as running:
        began = all_started(running, machine, replicas)
        told: dict[str, Any] = {
            "ready_s": sorted(one.ready_s for one in began),
            "compiled": machine.compiled(),
            "waited": sum("waiting for it" in one.log.read_text() for one in began),
            "stages_of_the_slowest": max(began, key=lambda one: one.ready_s).stages(),
            "memory_used_mib": memory_used(),
        }
        for one in began[:KILLED]:
            one.replica.process.kill()
        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(round_of_requests, began[-1].replica.port, "beside")
            fresh = all_started(running, machine, KILLED)
            load.result()
        told["replacements_ready_s"] = sorted(one.ready_s for one in fresh)
        told["stages_of_a_replacement"] = max(fresh, key=lambda one: one.ready_s).stages()
        told["compiled_for_replacements"] = machine.compiled() - told["compiled"]
        return told


def all_started(running: ExitStack, machine: Machine, replicas: int) -> list[Started]:
    """So many at once, to be ended with the stack."""

    def start(one: AbstractContextManager[Started]) -> Started:
        return running.enter_context(one)

    with ThreadPoolExecutor(replicas) as pool:
        return list(pool.map(start, [machine.started() for _ in range(replicas)]))


def memory_used() -> int | None:
    """Of the first device, with all that runs; None without nvidia-smi."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0])
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None


def measured(checkout: Path, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All starts of one checkout."""
    machine = Machine(checkout, options.model, folder / "one")
    told = {"first": alone(machine), "second": alone(machine)}
    together = Machine(checkout, options.model, folder / "all")
    return told | {"all": at_once(together, options.replicas)}


def shown(name: str, told: Mapping[str, Any]) -> None:
    """A short table, and where time went."""
    print(f"\n{name}")
    print(
        "replica   ready_s  compiled before/after ready  steps after    TTFT ms first p50/max  again p50/max  worst"
    )
    for which in ("first", "second"):
        one = told[which]
        first, again = one["first_ttft_ms"], one["again_ttft_ms"]
        print(
            f"{which:8}  {one['ready_s']:7.2f}  {one['compiled_before_ready']:5} / {one['compiled_after_ready']:<18}  "
            f"{one['steps_after_ready']}  {first['p50']:.1f} / {first['max']:.1f}  "
            f"{again['p50']:.1f} / {again['max']:.1f}  {one['worst_ratio']:.1f}x"
        )
        print(f"          {one['stages']}")
    together = told["all"]
    print(f"all at once: ready_s {_rounded(together['ready_s'])}")
    print(f"          compiled {together['compiled']}, waited {together['waited']}")
    print(f"          {together['stages_of_the_slowest']}, memory {together['memory_used_mib']} MiB")
    print(f"{KILLED} replacements: ready_s {_rounded(together['replacements_ready_s'])}")
    print(f"          compiled {together['compiled_for_replacements']}")
    print(f"          {together['stages_of_a_replacement']}", flush=True)


def _rounded(seconds: Sequence[float]) -> list[float]:
    return [round(one, 2) for one in seconds]


def main() -> None:
    """Measure this checkout, and another one before it where that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="135m")
    parser.add_argument("--replicas", type=int, default=10)
    parser.add_argument("--against", type=Path, help="another checkout, measured first")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    checkouts = {"before": options.against.resolve()} if options.against else {}
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, checkout in (checkouts | {"now": ROOT}).items():
            told[name] = measured(checkout, options, Path(temporary) / name)
            shown(name, told[name])
            if options.json:
                options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
