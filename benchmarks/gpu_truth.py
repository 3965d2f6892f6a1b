"""The GPU series beside nvidia-smi in the same second: idle, under load, and of a reference server on the GPU.

    python -m benchmarks.gpu_truth FOLDER

Writes raw expositions, nvidia-smi's rows, NVML's raw answers and `comparison.csv` into the folder; takes about
a minute. Needs an NVIDIA GPU, torch and nvidia-smi. Reads the device only: no clock, limit or mode is touched.
"""

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import nvidia_smi
from benchmarks.nvml_answers import RecordingNvml, doubts
from chaos.targets.local.ports import free_port
from exporters.nvml import NvmlDevices
from tests.support.gpu_figures import FIGURES, REASON_BITS, Samples, samples

AGE_S = 1.5
"""A scraped figure is at most this old: the exporter asks once a second, and asking takes time."""
AHEAD_S = 0.3
LOAD = """\
import sys, time, torch
sys.stdin.readline()
a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
print("warm", flush=True)
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    for _ in range(50):
        a @ b
    torch.cuda.synchronize()
"""
LOAD_S = 9.0


def exposition(url: str) -> str:
    """One scrape."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def compared(phase: str, at_s: float, told: Samples, rows: Sequence[nvidia_smi.Row]) -> Iterator[list[Any]]:
    """One line per figure: what the exporter said, and between which values nvidia-smi was in that second."""
    near = [row.values for row in rows if at_s - AGE_S <= row.at_s <= at_s + AHEAD_S]
    for figure in FIGURES:
        ours = told[figure.family, figure.label]
        theirs = [float(values[figure.column]) * figure.factor for values in near]
        low, high = min(theirs), max(theirs)
        agrees = low - figure.tolerance <= ours <= high + figure.tolerance
        yield [
            *(phase, f"{at_s:.1f}", figure.family, figure.label, ours, low, high),
            *(figure.tolerance, len(near), agrees),
        ]
    masks = [int(values["clocks_event_reasons.active"], 16) for values in near]
    for reason, bit in REASON_BITS.items():
        active = [float(bool(mask & bit)) for mask in masks]
        ours = told["ds_gpu_throttle_active", reason]
        agrees = ours in active
        yield [
            *(phase, f"{at_s:.1f}", "ds_gpu_throttle_active", reason, ours, min(active), max(active)),
            *(0, len(near), agrees),
        ]


def scraped(url: str, phase: str, times: int, folder: Path) -> list[tuple[str, float, Samples]]:
    """So many scrapes, one a second; the last one is kept as it was."""
    taken = []
    for _ in range(times):
        text = exposition(url)
        taken.append((phase, time.time(), samples(text)))
        time.sleep(1)
    (folder / f"{phase}.prom").write_text(text)
    return taken


@contextmanager
def started(
    command: Sequence[str], log: Path | None = None, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """A child that ends with the block."""
    output = log.open("w") if log else subprocess.PIPE
    process = subprocess.Popen(
        command, stdout=output, stderr=subprocess.STDOUT if log else None, text=True, **options
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def exporter_phases(folder: Path) -> list[tuple[str, float, Samples]]:
    """`python -m exporters gpu`, idle and under load."""
    import pynvml

    recorder = RecordingNvml(pynvml)
    devices = NvmlDevices(recorder)
    command = [sys.executable, "-m", "exporters", "gpu", "--host", "127.0.0.1", "--port", "0"]
    with (
        started(command) as exporter,
        started([sys.executable, "-c", LOAD, str(LOAD_S)], stdin=subprocess.PIPE) as load,
    ):
        assert exporter.stdout is not None
        assert load.stdin is not None
        assert load.stdout is not None
        url = exporter.stdout.readline().split(" at ")[1].strip()
        devices()
        (folder / "nvml-idle.json").write_text(json.dumps(recorder.kept, indent=1))
        time.sleep(1.5)
        taken = scraped(url, "idle", 4, folder)
        load.stdin.write("go\n")
        load.stdin.flush()
        load.stdout.readline()
        time.sleep(2.5)
        taken += scraped(url, "load", 5, folder)
        recorder.kept.clear()
        polls_s = []
        for _ in range(5):
            began_s = time.perf_counter()
            recorder.kept.clear()
            devices()
            polls_s.append(time.perf_counter() - began_s)
        (folder / "nvml-load.json").write_text(json.dumps(recorder.kept, indent=1))
        told = {**doubts(pynvml), "poll_ms": [round(1000 * s, 2) for s in polls_s]}
        (folder / "doubts.json").write_text(json.dumps(told, indent=1))
    return taken


def completion(url: str, tokens: int) -> None:
    """One request, whatever becomes of it."""
    body = {"model": "135m", "prompt": "x" * 64, "max_tokens": tokens, "ignore_eos": True}
    request = urllib.request.Request(
        f"{url}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def server_phase(folder: Path) -> list[tuple[str, float, Samples]]:
    """A reference server of the 135m shape on the GPU, eight requests running."""
    port = free_port(())
    metrics_port = free_port((port,))
    options = ["--model-name", "135m", "--host", "127.0.0.1", "--port", str(port)]
    options += ["--metrics-port", str(metrics_port), "--min-step-seconds", "0.02"]
    url = f"http://127.0.0.1:{port}"
    whole_torch = "import torch, sys; from reference_server.cli import main; sys.exit(main(sys.argv[1:]))"
    for attempt, start in enumerate((["-m", "reference_server"], ["-c", whole_torch])):
        with started([sys.executable, *start, *options], folder / f"server-{attempt}.log") as server:
            if not ready(f"{url}/readyz", server, within_s=60):
                continue
            threads = [threading.Thread(target=completion, args=(url, 300)) for _ in range(8)]
            for thread in threads:
                thread.start()
            time.sleep(2)
            taken = scraped(f"http://127.0.0.1:{metrics_port}/metrics", "server", 4, folder)
            apps = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv"]
            text = subprocess.run(apps, capture_output=True, text=True, check=False).stdout
            (folder / "server-apps.csv").write_text(re.sub(rf"\b{server.pid}\b", "server", text))
            for thread in threads:
                thread.join()
            (folder / "server-done.prom").write_text(exposition(f"http://127.0.0.1:{metrics_port}/metrics"))
            return taken
    return []


def ready(url: str, process: subprocess.Popen[str], within_s: float) -> bool:
    """Whether it answers 200 in time, and before the process ends."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.1)
    return False


def main() -> int:
    """Measure all phases; 1 when a figure disagrees."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with nvidia_smi.watched(folder / "nvidia-smi.csv"):
        time.sleep(1)
        taken = exporter_phases(folder) + server_phase(folder)
        time.sleep(1)
    rows = nvidia_smi.rows(folder / "nvidia-smi.csv")
    lines = [line for phase, at_s, told in taken for line in compared(phase, at_s, told, rows)]
    header = [
        "phase",
        "at_s",
        "family",
        "label",
        "exporter",
        "smi_low",
        "smi_high",
        "tolerance",
        "smi_rows",
        "agrees",
    ]
    with (folder / "comparison.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *lines])
    off = [line for line in lines if not line[-1]]
    print(
        f"{len(lines)} comparisons, {len(off)} disagree", os.linesep.join(str(line) for line in off), sep="\n"
    )
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
