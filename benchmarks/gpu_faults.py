"""What a GPU's exporter and a client see of three faults: memory held, time taken, a replica frozen.

    python -m benchmarks.gpu_faults [--json FILE]

Two replicas of the 135M shape share the GPU, one greedy stream each is read over and over; ten seconds before each
fault, ten in force, ten after. Some three minutes; needs an NVIDIA GPU.
"""

import argparse
import json
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from chaos.targets.effects import Effect
from chaos.targets.engine_effects import DeviceMemory, DeviceStress, Freeze
from chaos.targets.local.means.completion import Heard, complete
from chaos.targets.local.means.series import figure
from chaos.targets.local.options import DEFAULT_COMMAND, STANDBY
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.target import LocalTarget

FAULTS: Mapping[str, Effect] = {
    "gpu-memory, until 512 MiB are free": DeviceMemory(512 << 20),
    "noisy-neighbour, one process of products": DeviceStress(1),
    "freeze of the first replica": Freeze(),
}
PHASE_S = 10.0
SAMPLE_S = 0.5
SERIES = {
    "used_bytes": "ds_gpu_memory_used_bytes",
    "total_bytes": "ds_gpu_memory_total_bytes",
    "busy": "ds_gpu_utilization_ratio",
    "generated": "ds_tokens_total",
}


def cluster(folder: Path) -> LocalSpec:
    """Two replicas that share the GPU."""
    env = {"DS_MODEL_NAME": "135m", "DS_TORCH_THREADS": "1", "DS_MAX_RUNNING": "4", "DS_KV_TOKENS": "16384"}
    return LocalSpec(
        run_id=f"gpu-faults-{uuid.uuid4().hex[:8]}",
        run_folder=folder,
        replicas=2,
        command=DEFAULT_COMMAND,
        standby=STANDBY,
        env=env,
        prometheus=False,
        ready_within_s=300.0,
        faults_key=uuid.uuid4().hex,
    )


@contextmanager
def streams(ports: Sequence[int]) -> Iterator[list[tuple[float, int, Heard]]]:
    """Streams read one after another from each replica: when each ended, of which one, and what was heard."""
    heard: list[tuple[float, int, Heard]] = []
    over = threading.Event()

    def read(number: int, port: int) -> None:
        while not over.is_set():
            answer = complete(port, "", tokens=64, patience_s=2.0)
            heard.append((time.monotonic(), number, answer))

    threads = [threading.Thread(target=read, args=each) for each in enumerate(ports)]
    for thread in threads:
        thread.start()
    try:
        yield heard
    finally:
        over.set()
        for thread in threads:
            thread.join()


def sampled(ports: Sequence[int], began_s: float, over: Callable[[], bool]) -> list[dict[str, Any]]:
    """What each replica's exporter says, every half second."""
    rows = []
    while not over():
        row: dict[str, Any] = {"at_s": round(time.monotonic() - began_s, 2)}
        for number, port in enumerate(ports):
            row[f"replica {number}"] = {name: figure(port, family) for name, family in SERIES.items()}
        rows.append(row)
        time.sleep(SAMPLE_S)
    return rows


def drill(target: LocalTarget, effect: Effect) -> dict[str, Any]:
    """One fault on the first replica: proof, series, and what the streams were like in each of three phases."""
    replicas = target.replicas()
    starts = {
        e.replica: e.detail for e in target.events() if e.kind in ("replica_running", "replica_restarted")
    }
    ports = [starts[each.name]["port"] for each in replicas]
    metrics = [starts[each.name]["metrics_port"] for each in replicas]
    marks: list[float] = []
    samples: list[dict[str, Any]] = []
    began_s, done = time.monotonic(), threading.Event()
    sampler = threading.Thread(target=lambda: samples.extend(sampled(metrics, began_s, done.is_set)))
    with streams(ports) as heard:
        sampler.start()
        time.sleep(PHASE_S)
        target.aim("drill#1", [effect], replicas[:1])
        marks.append(target.inject("drill#1", replicas[:1]) - began_s)
        evidence = target.verify("drill#1", within_s=40)
        time.sleep(PHASE_S)
        marks.append(time.monotonic() - began_s)
        target.recover("drill#1")
        over = target.verify_recovered("drill#1", within_s=20)
        time.sleep(PHASE_S)
        done.set()
        sampler.join()
    ended = [(at_s - began_s, number, each) for at_s, number, each in heard]
    return {
        "injected_s": round(marks[0], 2),
        "undone_s": round(marks[1], 2),
        "verified": [each.how for each in evidence if each.verified],
        "gone": [each.how for each in over if each.verified],
        "gap_ms": {name: _gaps(ended, *span) for name, span in _phases(marks).items()},
        "series": samples,
    }


def _phases(marks: Sequence[float]) -> dict[str, tuple[float, float]]:
    return {
        "before": (0.0, marks[0]),
        "during": (marks[0] + 2, marks[1]),
        "after": (marks[1] + 1, float("inf")),
    }


def _gaps(ended: Sequence[tuple[float, int, Heard]], start_s: float, end_s: float) -> dict[str, float | str]:
    """The median time between two tokens of the streams that ended in this span, in ms, by replica."""
    told: dict[str, float | str] = {}
    for number in (0, 1):
        whole = [each.gap_s for at_s, of, each in ended if of == number and start_s <= at_s <= end_s]
        finite = [gap_s * 1000 for gap_s in whole if gap_s < float("inf")]
        told[f"replica {number}"] = round(median(finite), 2) if finite else "no tokens"
    return told


def main() -> None:
    """Each fault once."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="where to write all of it")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, LocalTarget(cluster(Path(folder))) as target:
        for name, effect in FAULTS.items():
            while not all(each.ready for each in target.replicas()):
                time.sleep(SAMPLE_S)
            found[name] = drill(target, effect)
            print(f"{name}: {found[name]['verified'] or 'NOT VERIFIED'}; gone: {found[name]['gone'] or 'NO'}")
            print(f"  between two tokens, ms: {found[name]['gap_ms']}", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
