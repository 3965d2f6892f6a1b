"""The GPU backend without a GPU: its kernels in Triton's interpreter, against the backend of the CPU.

    pip install triton
    TRITON_INTERPRET=1 python -m pytest -m slow tests/test_reference_server_gpu_interpreted.py

About five minutes on an idle core. Prompts attend through torch here: its own attention of prompts is for GPUs alone.
"""

import os
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor

from reference_server.batch import BLOCK_TOKENS, Backend, Piece
from reference_server.cpu_backend import CpuBackend
from reference_server.kv_cache import KVCache
from reference_server.model import Model
from reference_server.models.shapes import Shape
from reference_server.models.weights import random_weights
from reference_server.sampler import Sampling
from tests.support.device_draws import ONE_BITS, drawn_tokens, shares_of
from tests.support.goodness_of_fit import fit_p

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.slow,
    pytest.mark.skipif("TRITON_INTERPRET" not in os.environ, reason="TRITON_INTERPRET=1 is expected"),
]
SHAPE = Shape(
    layers=2, hidden=96, heads=6, kv_heads=2, head_dim=16, feed_forward=160, vocabulary=300, eos=(256,)
)
CPU = torch.device("cpu")
GREEDY = Sampling(seed=0, temperature=0.0)
TABLE = 8
"""Blocks of each sequence."""


def attend(queries: Tensor, keys: Tensor, values: Tensor, prompts: Any, out: Tensor) -> None:
    """What the GPU backend asks of torch's variable-length attention, one prompt after the other."""
    key, value = (cache.transpose(1, 2)[prompts.blocks, prompts.cells] for cache in (keys, values))
    ends = zip(prompts.query_ends.tolist(), prompts.key_ends.tolist(), strict=True)
    (first, begin), *rest = ends
    for last, end in rest:
        rows, seen = last - first, end - begin
        mask = torch.arange(seen) <= torch.arange(seen - rows, seen).unsqueeze(1)
        parts = (queries[first:last], key[begin:end], value[begin:end])
        query, its_keys, its_values = (part.transpose(0, 1) for part in parts)
        attended = torch.nn.functional.scaled_dot_product_attention(
            query, its_keys, its_values, attn_mask=mask, enable_gqa=True
        )
        out[first:last] = attended.transpose(0, 1)
        first, begin = last, end


@pytest.fixture(params=[0, 256], ids=["prompts through torch", "prompts row by row"])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Backend:
    pytest.importorskip("triton")
    from reference_server.gpu import backend, model
    from reference_server.gpu.backend import GpuBackend

    monkeypatch.setattr(model, "attend_prompts", attend)
    monkeypatch.setattr(backend, "NARROW_ROWS", request.param)
    return GpuBackend(
        SHAPE, random_weights(SHAPE, 0), context=128, blocks=40, slots=5, device=CPU, dtype=torch.float32
    )


@pytest.fixture
def cpu() -> Backend:
    model = Model(SHAPE, random_weights(SHAPE, 0), context=128, device=CPU, dtype=torch.float32)
    cache = KVCache(SHAPE, blocks=40, context=128, device=CPU, dtype=torch.float32)
    return CpuBackend(model, cache, range(SHAPE.vocabulary))


def answers(backend: Backend, prompts: list[list[int]], tokens: int, chunk: int) -> list[list[int]]:
    """Greedy answers of all prompts, computed together, prompts in pieces of at most `chunk` tokens."""
    found: list[list[int]] = [[] for _ in prompts]
    computed = [0] * len(prompts)
    for _ in count():
        pieces, drawing = [], []
        for i, prompt in enumerate(prompts):
            if len(found[i]) == tokens:
                continue
            part = tuple(prompt[computed[i] : computed[i] + chunk]) or None
            start, computed[i] = computed[i], computed[i] + (len(part) if part else 1)
            draws = computed[i] >= len(prompt)
            table = range(i * TABLE, (i + 1) * TABLE)
            pieces.append(Piece(i, start, part, table, GREEDY if draws else None, ignore_eos=True))
            drawing += [i] if draws else []
        if not pieces:
            break
        for i, token in zip(drawing, backend.submit(pieces).tokens(), strict=True):
            found[i].append(token)
    return found


@pytest.mark.parametrize("chunk", [1000, 7])
@pytest.mark.parametrize("lengths", [(23, 40), (1, 5, 23)])
def test_answers_are_those_of_the_cpu_backend(
    lengths: tuple[int, ...], chunk: int, gpu: Backend, cpu: Backend
) -> None:
    assert max(lengths) + 6 <= TABLE * BLOCK_TOKENS
    prompts = [[(7 * i * i + 31 * length) % 256 for i in range(length)] for length in lengths]
    assert answers(gpu, prompts, 6, chunk) == answers(cpu, prompts, 6, chunk)


def test_noise_depends_on_seed_and_position_alone() -> None:
    logits = torch.randn(50, generator=torch.Generator().manual_seed(0))
    drawn = drawn_tokens(logits, range(2_000), seed=7)
    assert fit_p(torch.bincount(drawn.long(), minlength=50).tolist(), shares_of(logits)) > 0.001
    assert torch.equal(drawn_tokens(logits, range(100, 110), seed=7), drawn[100:110])
    assert not torch.equal(drawn_tokens(logits, range(200), seed=8), drawn[:200])


def test_the_largest_noise_that_there_is_does_not_draw_what_has_no_chance() -> None:
    logits = torch.zeros(2048)
    logits[3] = 60
    assert drawn_tokens(logits, [ONE_BITS["position"]], seed=ONE_BITS["seed"]).tolist() == [3]
