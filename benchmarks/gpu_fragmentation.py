"""GPU memory fragmented on purpose, seen through the exporter that the fragmenting process mounts.

    python -m benchmarks.gpu_fragmentation FOLDER [--blocks 4096]

Blocks of 4 MiB fill the segments of torch's caching allocator, every second one is freed, and an allocation that is
smaller than what is free then fails, under a memory limit of this process's own.
Needs an NVIDIA GPU, torch and nvidia-smi.
"""

import argparse
import csv
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu_truth import exposition
from exporters.collectors import CollectorSet
from exporters.exposition import serve
from exporters.gpu import watch_gpus
from exporters.registry import Registry
from tests.support.gpu_figures import samples

BLOCK = 4 * 2**20
SMI = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
FAMILIES = (
    *(("ds_gpu_memory_used_bytes", ""), ("ds_gpu_memory_reserved_bytes", "")),
    *(("ds_gpu_memory_allocated_bytes", ""), ("ds_gpu_memory_fragmentation_ratio", "slack")),
    *(("ds_gpu_memory_fragmentation_ratio", "split"), ("ds_gpu_allocator_retries_total", "")),
    ("ds_gpu_allocator_ooms_total", ""),
)


class Fragmenter:
    """Steps that fill, fragment, ask for too much, and give back."""

    def __init__(self, torch: Any, blocks: int) -> None:
        self._torch = torch
        self._blocks = blocks
        self._held: list[Any] = []
        total = torch.cuda.get_device_properties(0).total_memory
        # Of this process alone: three quarters of one block's worth more than it fills.
        torch.cuda.set_per_process_memory_fraction((blocks + blocks // 8) * BLOCK / total)

    def before(self) -> None:
        """One tensor in a segment of its own."""
        self._kept = self._torch.empty(16 * BLOCK, dtype=self._torch.uint8, device="cuda")

    def filled(self) -> None:
        """Segments full of small blocks."""
        self._held = [
            self._torch.empty(BLOCK, dtype=self._torch.uint8, device="cuda") for _ in range(self._blocks)
        ]

    def fragmented(self) -> None:
        """Every second block is free, no segment is."""
        self._held = self._held[::2]

    def refused(self) -> None:
        """A quarter of the filled bytes, half of what is free: no memory."""
        try:
            self._torch.empty(self._blocks // 4 * BLOCK, dtype=self._torch.uint8, device="cuda")
        except self._torch.cuda.OutOfMemoryError:
            return
        raise SystemExit("the allocation fitted: nothing was fragmented")

    def after(self) -> None:
        """All blocks freed, cached memory given back."""
        self._held = []
        self._torch.cuda.empty_cache()


def main() -> int:
    """Write one exposition per step and a table of all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--blocks", type=int, default=4096)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    import torch

    fragmenter = Fragmenter(torch, options.blocks)
    registry = Registry()
    steps: list[Callable[[], None]] = [
        *(fragmenter.before, fragmenter.filled, fragmenter.fragmented, fragmenter.refused, fragmenter.after)
    ]
    lines: list[list[Any]] = []
    with watch_gpus(CollectorSet(registry)), serve(registry, host="127.0.0.1", port=0) as endpoint:
        for step in steps:
            step()
            torch.cuda.synchronize()
            time.sleep(2.2)  # two polls: one may have begun before the step ended
            text = exposition(f"http://127.0.0.1:{endpoint.port}/metrics")
            smi_mib = subprocess.run(SMI, capture_output=True, text=True, check=True).stdout.strip()
            (options.folder / f"fragmentation-{step.__name__}.prom").write_text(text)
            told = samples(text)
            lines.append([step.__name__, smi_mib, *(told.get(key) for key in FAMILIES)])
    header = ["step", "smi_used_mib", *("_".join(filter(None, key)) for key in FAMILIES)]
    with (options.folder / "fragmentation.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *lines])
    for line in lines:
        print(*line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
