"""Decode speed on one GPU, against its memory bandwidth and against transformers.

    python -m benchmarks.decode_speed --peers sdpa,flash_attention_2 --profile --out bench

Weights are random: speed does not depend on them. The limit is what reading the bytes of a step takes at the rate of
a device copy, measured in the same run. Steps are driven through the backend as the engine drives it: block tables and
sampling from the host, one step ahead, the tokens of each step read back.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.decoding import WARM_STEPS, Decoder, prompts
from reference_server.block_pool import blocks_for
from reference_server.models.shapes import NAMED_SHAPES
from tests.support.gpu_models import hugging_face_model, random_gpu_weights

PREFILL_TOKENS = 8192
"""Of prompts, in one step."""
PROFILED_STEPS = 8
PEER_TOKENS = 32
"""That transformers decodes of each sequence."""


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


def step_profile(decoder: Decoder) -> list[dict[str, Any]]:
    """Device time by kernel over PROFILED_STEPS: microseconds a step, launches a step, share."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
        decoder.step(PROFILED_STEPS)
    events = [event for event in profiler.key_averages() if event.self_device_time_total > 0]
    total = sum(event.self_device_time_total for event in events)
    events.sort(key=lambda event: -event.self_device_time_total)
    return [
        {
            "kernel": event.key[:90],
            "us_per_step": round(event.self_device_time_total / PROFILED_STEPS, 1),
            "launches": round(event.count / PROFILED_STEPS, 1),
            "share": round(event.self_device_time_total / total, 3),
        }
        for event in events[:12]
    ]


def measure_ours(options: argparse.Namespace, rate: float, device: torch.device) -> Iterator[Result]:
    """All shapes, types and batches that were asked for."""
    from reference_server.gpu.backend import GpuBackend

    most, room = max(options.batches), options.context + WARM_STEPS + options.tokens + PROFILED_STEPS
    for name, dtype in product(options.shapes, options.types):
        shape = NAMED_SHAPES[name]
        all_prompts = prompts(most, options.context, shape.vocabulary)
        backend = GpuBackend(
            shape, random_gpu_weights(shape, device, int8=dtype == "int8"), context=room,
            blocks=most * blocks_for(room), slots=most, device=device,
        )  # fmt: skip
        for batch in options.batches:
            decoder = Decoder(backend, all_prompts[:batch], room)
            began_s = time.perf_counter()
            decoder.fill(at_once=max(1, PREFILL_TOKENS // options.context))
            first_tokens_s = time.perf_counter() - began_s
            decoder.step(WARM_STEPS)
            positions, reads = batch * (decoder.position + options.tokens / 2), backend.statistics
            read_bytes = reads.weight_bytes + reads.kv_bytes * positions
            gaps_s = decoder.step(options.tokens)
            step_s = statistics.median(gaps_s)
            yield Result(
                "ours", name, dtype, batch, batch / step_s, step_s * 1e3,
                statistics.quantiles(gaps_s, n=100)[-1] * 1e3, read_bytes / rate / step_s, first_tokens_s,
                step_profile(decoder) if options.profile else [],
            )  # fmt: skip
        del backend, decoder
        torch.cuda.empty_cache()


def measure_peers(options: argparse.Namespace, device: torch.device) -> Iterator[Result]:
    """Decode with transformers on bf16 weights, with each of the attentions that were asked for; sdpa at one shape."""
    from benchmarks.decode_peer import install_stand_in, measure

    if not options.peers:
        return
    install_stand_in()
    for name in options.shapes:
        shape = NAMED_SHAPES[name]
        weights = random_gpu_weights(shape, device, int8=False)
        model = hugging_face_model(shape, {k: one for k, one in weights.items() if isinstance(one, Tensor)})
        for attention, batch in product(options.peers, options.peer_batches):
            if attention == "sdpa" and name != options.shapes[0]:
                continue
            asked = prompts(batch, options.context, shape.vocabulary)
            gap_s, first_tokens_s = measure(model, attention, asked, PEER_TOKENS)
            yield Result(
                f"transformers {attention}", name, "bf16", batch, batch / gap_s, gap_s * 1e3, math.nan, math.nan,
                first_tokens_s,
            )  # fmt: skip
        del model, weights
        torch.cuda.empty_cache()


def main() -> int:
    """Measure, print a table, and write everything as JSON; 2 where there is no GPU."""
    options = _parser().parse_args()
    if not torch.cuda.is_available():
        print("a CUDA device is expected", file=sys.stderr)
        return 2
    device = torch.device("cuda")
    from reference_server.gpu.backend import copy_rate

    rate = copy_rate(device, 4 << 30)
    torch.cuda.empty_cache()
    progress(f"copy {rate / 1e12:.2f} TB/s, read and written, on {torch.cuda.get_device_name(device)}")
    document = {
        "command": "python -m benchmarks.decode_speed " + " ".join(sys.argv[1:]),
        "device": torch.cuda.get_device_name(device),
        "torch": torch.__version__,
        "copy_bytes_per_s": rate,
        "context": options.context,
        "tokens": options.tokens,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    for r in chain(measure_ours(options, rate, device), measure_peers(options, device)):
        results.append(r)
        progress(f"{r.engine} {r.shape} {r.dtype} {r.batch}: {r.tokens_per_s:,.0f} tok/s")
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

    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--shapes", type=words, default="1b,8b", help="named shapes")
    add("--types", type=words, default="bf16,int8", help="of weights")
    add("--batches", type=numbers, default="1,32,128", help="sequences at once")
    add("--context", type=int, default=1024, help="tokens of each prompt")
    add("--tokens", type=int, default=96, help="tokens of each sequence whose steps are timed")
    add(
        "--peers",
        type=words,
        default="",
        help="attentions of transformers: sdpa (first shape only), flash_attention_2",
    )
    add("--peer-batches", type=numbers, default="1,32,128", help="sequences at once in transformers")
    add("--profile", action="store_true", help="device time by kernel, into the JSON")
    add("--out", type=Path, default="bench", help="folder of bench.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
