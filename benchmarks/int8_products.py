"""What one decode step's matrix products cost on the CPU in 8 bits and in float32, for the shape 135m.

All layers' projections and the head, in the order of a step, one thread. Seconds are the thread's own CPU time, and
the two kinds take turns, so that a busy machine disturbs both alike. Prints one JSON object.
"""

import functools
import json
import statistics
import time
from collections.abc import Callable

import torch

from reference_server.models.quantization import Int8Product, quantize
from reference_server.models.shapes import NAMED_SHAPES
from reference_server.tiles import TILE_ROWS, linear

ROWS = (8, 32, 128)
ROUNDS = 5
SMOLLM2_VOCABULARY = 49_152


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    shape = NAMED_SHAPES["135m"]
    width = shape.head_dim * (shape.heads + 2 * shape.kv_heads)
    layer = ((width, 576), (576, 576), (2 * shape.feed_forward, 576), (576, shape.feed_forward))
    sizes = [*layer * shape.layers, (SMOLLM2_VOCABULARY, shape.hidden)]
    matrices = [torch.randn(size) * 0.05 for size in sizes]
    kinds: dict[str, list[torch.Tensor | Int8Product]] = {
        "float32": [matrix.t().contiguous() for matrix in matrices],
        "int8": [Int8Product(quantize(matrix)) for matrix in matrices],
    }
    found = []
    for rows in ROWS:
        assert rows % TILE_ROWS == 0
        inputs = {size: torch.randn(rows, size) for size in (shape.hidden, shape.feed_forward)}
        seconds: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(ROUNDS):
            for name, weights in kinds.items():
                seconds[name].append(timed(functools.partial(step, weights, sizes, inputs)))
        entry: dict[str, object] = {"rows": rows}
        entry |= {f"{name}_ms": [round(1e3 * s, 1) for s in values] for name, values in seconds.items()}
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        entry["int8_speed"] = round(medians["float32"] / medians["int8"], 2)
        found.append(entry)
    print(json.dumps({"torch": torch.__version__, "steps": found}, indent=2))


def step(
    weights: list[torch.Tensor | Int8Product], sizes: list[tuple[int, int]], inputs: dict[int, torch.Tensor]
) -> None:
    """Every product once."""
    for weight, (_, width) in zip(weights, sizes, strict=True):
        linear(inputs[width].view(-1, TILE_ROWS, width), weight)


def timed(work: Callable[[], None]) -> float:
    """Seconds of this thread's CPU."""
    began_s = time.thread_time()
    work()
    return time.thread_time() - began_s


if __name__ == "__main__":
    main()
