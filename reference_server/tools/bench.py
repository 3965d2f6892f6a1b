"""`python -m reference_server bench`: decode speed on one GPU, against its memory bandwidth and against transformers.

Weights are random: speed does not depend on them. The limit is what reading the bytes of a step takes at the rate of
a device copy, measured in the same run. Steps are driven through the backend as the engine drives it: block tables and
sampling from the host, one step ahead, the tokens of each step read back.
"""

import argparse
import json
import logging
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from reference_server.batch import BLOCK_TOKENS, Piece
from reference_server.errors import ConfigError
from reference_server.models.quantization import Int8Weight, quantize
from reference_server.models.shapes import NAMED_SHAPES, Shape
from reference_server.models.weights import tensor_sizes
from reference_server.sampler import Sampling

logger = logging.getLogger(__name__)

GREEDY = Sampling(seed=0, temperature=0.0)
PREFILL_TOKENS = 8192
WARM_TOKENS = 16


if TYPE_CHECKING:  # brings triton, which is there only beside a GPU
    from reference_server.gpu.backend import GpuBackend


@dataclass(slots=True)
class Result:
    """One engine, shape, type and batch."""

    engine: str
    shape: str
    dtype: str
    batch: int
    tokens_per_s: float
    """Batch over the median time between tokens, with all requests decoding."""
    step_ms: float
    step_ms_p99: float
    share_of_limit: float
    """Time to read a step's bytes at the copy rate, over the median step."""
    first_tokens_s: float
    """From the first prompt to all first tokens."""
    profile: list[dict[str, Any]] = field(default_factory=list)


def random_gpu_weights(shape: Shape, device: torch.device, *, int8: bool) -> dict[str, Tensor | Int8Weight]:
    """Random weights made on the device, scaled as `random_weights`."""
    source = torch.Generator(device).manual_seed(0)
    weights: dict[str, Tensor | Int8Weight] = {}
    for name, size in tensor_sizes(shape).items():
        if len(size) == 1:
            weights[name] = torch.ones(size, device=device, dtype=torch.bfloat16)
            continue
        made = torch.randn(size, generator=source, device=device, dtype=torch.bfloat16) * size[1] ** -0.5
        weights[name] = quantize(made) if int8 else made
    return weights


def block_tables(batch: int, longest: int) -> list[range]:
    """Each sequence's own blocks."""
    pages = -(-longest // BLOCK_TOKENS)
    return [range(i * pages, (i + 1) * pages) for i in range(batch)]


def prefill(backend: "GpuBackend", prompts: Sequence[Sequence[int]], tables: Sequence[range]) -> None:
    """Compute the prompts, several in a step, up to their first tokens."""
    waiting = list(range(len(prompts)))
    per_step = max(1, PREFILL_TOKENS // len(prompts[0]))
    while waiting:
        now, waiting = waiting[:per_step], waiting[per_step:]
        backend.submit(
            [Piece(i, 0, tuple(prompts[i]), tables[i], GREEDY, ignore_eos=True) for i in now]
        ).tokens()


def decode_gaps(
    backend: "GpuBackend", batch: int, start: int, tokens: int, tables: Sequence[range]
) -> list[float]:
    """Seconds between the tokens of successive steps, read one step behind."""
    gaps: list[float] = []
    ahead = None
    before = time.perf_counter()
    for position in range(start, start + tokens):
        step = backend.submit(
            [Piece(i, position, None, tables[i], GREEDY, ignore_eos=True) for i in range(batch)]
        )
        if ahead is not None:
            ahead.tokens()
            now = time.perf_counter()
            gaps.append(now - before)
            before = now
        ahead = step
    assert ahead is not None
    ahead.tokens()
    return gaps[WARM_TOKENS:]


def step_profile(
    backend: "GpuBackend", batch: int, position: int, tables: Sequence[range]
) -> list[dict[str, Any]]:
    """Device time by kernel over eight steps: microseconds a step, launches a step, share."""
    from torch.profiler import ProfilerActivity, profile

    steps = 8
    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
        for i in range(steps):
            backend.submit(
                [Piece(s, position + i, None, tables[s], GREEDY, ignore_eos=True) for s in range(batch)]
            ).tokens()
    events = [event for event in profiler.key_averages() if event.self_device_time_total > 0]
    total = sum(event.self_device_time_total for event in events)
    events.sort(key=lambda event: -event.self_device_time_total)
    return [
        {
            "kernel": event.key[:90],
            "us_per_step": round(event.self_device_time_total / steps, 1),
            "launches": round(event.count / steps, 1),
            "share": round(event.self_device_time_total / total, 3),
        }
        for event in events[:12]
    ]


def measure_ours(options: argparse.Namespace, rate: float, device: torch.device) -> Iterator[Result]:
    """All shapes, types and batches that were asked for."""
    source = torch.Generator().manual_seed(1)
    for name in options.shapes:
        shape = NAMED_SHAPES[name]
        prompts = torch.randint(
            0, shape.vocabulary, (max(options.batches), options.context), generator=source
        ).tolist()
        for dtype in options.types:
            longest = options.context + options.tokens + 64
            pages = max(options.batches) * -(-longest // BLOCK_TOKENS)
            from reference_server.gpu.backend import GpuBackend

            backend = GpuBackend(
                shape, random_gpu_weights(shape, device, int8=dtype == "int8"), context=longest, blocks=pages,
                slots=max(options.batches), device=device,
            )  # fmt: skip
            weight_bytes = backend.model.weight_bytes()
            kv_bytes = shape.layers * 2 * shape.kv_heads * shape.head_dim * 2
            for batch in options.batches:
                tables = block_tables(batch, longest)
                start = time.perf_counter()
                prefill(backend, prompts[:batch], tables)
                first_tokens_s = time.perf_counter() - start
                gaps = decode_gaps(backend, batch, options.context, options.tokens, tables)
                step = statistics.median(gaps)
                read = weight_bytes + kv_bytes * batch * (options.context + options.tokens / 2)
                yield Result(
                    "ours", name, dtype, batch, batch / step, step * 1e3,
                    statistics.quantiles(gaps, n=100)[-1] * 1e3, read / rate / step, first_tokens_s,
                    step_profile(backend, batch, options.context + options.tokens, tables) if options.profile else [],
                )  # fmt: skip
            del backend
            torch.cuda.empty_cache()


def measure_peers(options: argparse.Namespace, device: torch.device) -> Iterator[Result]:
    """Decode with transformers on the same bf16 weights, with each of the attentions that were asked for."""
    from reference_server.tools.bench_peer import Peer

    for name in options.peer_shapes:
        shape = NAMED_SHAPES[name]
        source = torch.Generator().manual_seed(1)
        prompts = torch.randint(
            0, shape.vocabulary, (max(options.batches), options.context), generator=source
        ).tolist()
        weights = random_gpu_weights(shape, device, int8=False)
        peer = Peer(shape, {key: value for key, value in weights.items() if isinstance(value, Tensor)})
        for attention in options.peers:
            if attention == "sdpa" and name != options.peer_shapes[0]:
                continue
            for batch in options.peer_batches:
                gap, first = peer.measure(attention, prompts[:batch], options.peer_tokens)
                yield Result(
                    f"transformers {attention}", name, "bf16", batch, batch / gap, gap * 1e3, float("nan"),
                    float("nan"), first,
                )  # fmt: skip
        del peer, weights
        torch.cuda.empty_cache()


def main(argv: Sequence[str]) -> int:
    """Measure, print a table, and write everything as JSON."""
    if any(word.startswith("--shards") for word in argv):
        from reference_server.tools.bench_shards import main as bench_shards

        return bench_shards(argv)
    options = _parser().parse_args(argv)
    if not torch.cuda.is_available():
        raise ConfigError("bench: a CUDA device is expected")
    device = torch.device("cuda")
    from reference_server.gpu.backend import copy_rate

    rate = copy_rate(device, 4 << 30)
    torch.cuda.empty_cache()
    progress(f"copy {rate / 1e12:.2f} TB/s, read and written, on {torch.cuda.get_device_name(device)}")
    document = {
        "command": "python -m reference_server bench " + " ".join(argv),
        "device": torch.cuda.get_device_name(device),
        "torch": torch.__version__,
        "copy_bytes_per_s": rate,
        "context": options.context,
        "tokens": options.tokens,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    for results_of in (measure_ours(options, rate, device), measure_peers(options, device)):
        for result in results_of:
            results.append(result)
            progress(
                f"{result.engine} {result.shape} {result.dtype} {result.batch}: {result.tokens_per_s:,.0f} tok/s"
            )
            # After each, so that a run cut short leaves what it has.
            whole = document | {"results": [asdict(result) for result in results]}
            (options.out / "bench.json").write_text(json.dumps(whole, indent=1) + "\n")
    print(table(results))
    return 0


def table(results: Sequence[Result]) -> str:
    """One line per measurement; ratios are to the same shape and batch of each transformers variant in the run."""
    peers = {(r.shape, r.batch, r.engine): r.tokens_per_s for r in results if r.engine != "ours"}
    lines = [
        f"{'engine':22} {'shape':>5} {'type':>5} {'batch':>5} {'tok/s':>9} {'step ms':>8} {'limit':>6}  ratios"
    ]
    for r in results:
        ratios = [
            f"{r.tokens_per_s / rate:.2f}x {engine.split()[-1]}"
            for (shape, batch, engine), rate in peers.items()
            if r.engine == "ours" and (shape, batch) == (r.shape, r.batch)
        ]
        share = f"{r.share_of_limit:6.1%}" if r.engine == "ours" else "     -"
        lines.append(
            f"{r.engine:22} {r.shape:>5} {r.dtype:>5} {r.batch:>5} {r.tokens_per_s:>9,.0f} {r.step_ms:>8.3f} {share}  "
            + " ".join(ratios)
        )
    return "\n".join(lines)


def progress(line: str) -> None:
    """What is known so far, beside the table."""
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    def words(text: str) -> list[str]:
        return [word for word in text.split(",") if word]

    def numbers(text: str) -> list[int]:
        return [int(word) for word in words(text)]

    parser = argparse.ArgumentParser(prog="python -m reference_server bench", description=__doc__)
    parser.add_argument("--shapes", type=words, default=["1b", "8b"], help="named shapes (default: 1b,8b)")
    parser.add_argument(
        "--types", type=words, default=["bf16", "int8"], help="of weights (default: bf16,int8)"
    )
    parser.add_argument("--batches", type=numbers, default=[1, 32, 128], help="default: 1,32,128")
    parser.add_argument("--context", type=int, default=1024, help="tokens of each prompt (default: 1024)")
    parser.add_argument(
        "--tokens", type=int, default=96, help="tokens that each sequence decodes (default: 96)"
    )
    parser.add_argument(
        "--peers", type=words, default=[], help="attentions of transformers: sdpa,flash_attention_2"
    )
    parser.add_argument(
        "--peer-shapes", type=words, default=["1b", "8b"], help="sdpa runs at the first one alone"
    )
    parser.add_argument("--peer-batches", type=numbers, default=[1, 32, 128], help="default: 1,32,128")
    parser.add_argument(
        "--peer-tokens", type=int, default=32, help="tokens that transformers decodes (default: 32)"
    )
    parser.add_argument("--profile", action="store_true", help="device time by kernel, into the JSON")
    parser.add_argument(
        "--out", type=Path, default=Path("bench"), help="folder of bench.json (default: bench)"
    )
    return parser
