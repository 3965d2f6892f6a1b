"""The GPU backend on a GPU: kernels against float64, graphs against eager steps, the model against transformers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from reference_server.batch import BLOCK_TOKENS, Piece
from reference_server.models.quantization import Int8Weight, dequantize, quantize
from reference_server.models.shapes import NAMED_SHAPES, Shape
from reference_server.sampler import Sampling
from tests.support.device_draws import ONE_BITS, drawn_tokens, shares_of
from tests.support.goodness_of_fit import fit_p
from tests.support.gpu_models import hugging_face_model, random_gpu_weights

pytestmark = pytest.mark.gpu

GREEDY = Sampling(seed=0, temperature=0.0)
SMALL = Shape(
    layers=3,
    hidden=576,
    heads=9,
    kv_heads=3,
    head_dim=64,
    feed_forward=1536,
    vocabulary=5003,
    tied_head=True,
    eos=(),
)
BF16_ERROR = 1e-2
"""Relative error of a result that is rounded to bfloat16 on the way: a step of 2^-8, summed over random signs."""
NEAR_TIE = 0.04
"""Most by which transformers' best logit may exceed that of the token chosen here, as a share of the logits' spread."""


def error(out: Tensor, reference: Tensor) -> float:
    return float((out.double() - reference).norm() / reference.norm())


@contextmanager
def poisoned() -> Iterator[None]:
    """Memory that nothing wrote reads as NaN."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def weights_of(shape: Shape, *, int8: bool = False) -> dict[str, Tensor | Int8Weight]:
    return random_gpu_weights(shape, torch.device("cuda"), int8=int8)


def backend_of(shape: Shape, weights: Any, **options: Any) -> Any:
    from reference_server.gpu.backend import GpuBackend

    with poisoned():
        backend = GpuBackend(
            shape,
            weights,
            context=1024,
            blocks=640,
            slots=options.pop("slots", 8),
            device=torch.device("cuda"),
            **options,
        )
        backend.model.cache.fill_(float("nan"))
    return backend


def tables(count: int) -> list[list[int]]:
    """Blocks of each sequence, scattered."""
    order = torch.randperm(640, generator=torch.Generator().manual_seed(3)).tolist()
    return [order[i * 64 : i * 64 + 64] for i in range(count)]


def prompts_of(shape: Shape, lengths: list[int]) -> list[list[int]]:
    source = torch.Generator().manual_seed(5)
    return [torch.randint(0, shape.vocabulary, (n,), generator=source).tolist() for n in lengths]


def generate(
    backend: Any, prompts: list[list[int]], count: int, *, chunk: int = 4096, sampling: Sampling = GREEDY
) -> list[list[int]]:
    """Continue all prompts together, one step ahead of what is read."""
    places = tables(len(prompts))
    answers: list[list[int]] = [[] for _ in prompts]
    computed = [0] * len(prompts)
    asked = [0] * len(prompts)
    pending: list[tuple[list[int], Any]] = []
    while min(map(len, answers)) < count:
        pieces, drawing = [], []
        for i, prompt in enumerate(prompts):
            if asked[i] == count:
                continue
            part = tuple(prompt[computed[i] : computed[i] + chunk]) or None
            start, computed[i] = computed[i], computed[i] + (len(part) if part else 1)
            draws = computed[i] >= len(prompt)
            pieces.append(Piece(i, start, part, places[i], sampling if draws else None, True))
            if draws:
                drawing.append(i)
                asked[i] += 1
        if pieces:
            pending.append((drawing, backend.submit(pieces)))
        if len(pending) > 1 or not pieces:
            drawing, drawn = pending.pop(0)
            for i, token in zip(drawing, drawn.tokens(), strict=True):
                answers[i].append(token)
    return answers


@pytest.mark.parametrize("int8", [False, True], ids=["bf16", "int8"])
@pytest.mark.parametrize(("outputs", "inputs"), [(3072, 2048), (576, 576), (1000, 14336)])
def test_a_product_of_any_number_of_rows_is_that_of_float64(outputs: int, inputs: int, int8: bool) -> None:
    from reference_server.gpu.linear import Linear

    weight = torch.randn(outputs, inputs, device="cuda").bfloat16() * inputs**-0.5
    packed = quantize(weight) if int8 else weight
    exact = (dequantize(packed) if isinstance(packed, Int8Weight) else packed).double()
    linear = Linear.of([packed], torch.device("cuda"), torch.bfloat16)
    for rows in (1, 2, 7, 16, 33, 100, 128, 300):
        x = torch.randn(rows, inputs, device="cuda").bfloat16()
        with poisoned():
            out = linear.sums(x).float().sum(dim=0)
        assert error(out, x.double() @ exact.t()) < BF16_ERROR, rows


@pytest.mark.parametrize("int8", [False, True], ids=["bf16", "int8"])
def test_one_row_carries_norm_activation_and_residual_along(int8: bool) -> None:
    from reference_server.gpu.linear import Linear

    weight = torch.randn(2 * 1536, 576, device="cuda").bfloat16() * 576**-0.5
    packed = quantize(weight) if int8 else weight
    exact = (dequantize(packed) if isinstance(packed, Int8Weight) else packed).double()
    linear = Linear.of([packed], torch.device("cuda"), torch.bfloat16)
    x, gain = torch.randn(1, 576, device="cuda") * 3, torch.rand(576, device="cuda").bfloat16() + 0.5
    normed = x.double() * torch.rsqrt(x.double().square().mean() + 1e-5) * gain.double()
    gate, up = (normed @ exact.t()).chunk(2, dim=-1)
    with poisoned():
        out = torch.empty(1, 1536, dtype=torch.bfloat16, device="cuda")
    linear.row(x, out, gain=gain, epsilon=1e-5, gated=True)
    assert error(out, torch.nn.functional.silu(gate) * up) < BF16_ERROR
    stream = torch.randn(1, 3072, device="cuda")
    before = stream.double()
    linear.row(x.bfloat16(), stream, residual=True)
    assert error(stream, before + x.bfloat16().double() @ exact.t()) < BF16_ERROR


@pytest.mark.parametrize(("heads", "kv_heads", "dim"), [(9, 3, 64), (32, 8, 128), (4, 4, 64)])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_attention_over_blocks_is_that_of_float64(heads: int, kv_heads: int, dim: int, count: int) -> None:
    from reference_server.gpu.model import Rows

    shape = replace(SMALL, layers=1, heads=heads, kv_heads=kv_heads, head_dim=dim)
    model = backend_of(shape, weights_of(shape), slots=40).model
    lengths = [1, 1024, 17, 640, 333, *range(5, 40)][:count] if count > 1 else [777]
    places = [table[:64] for table in (tables(10) * 4)[:count]]
    model.tables[:count] = torch.tensor(places, dtype=torch.int32)
    used = sorted(
        {block for table, n in zip(places, lengths, strict=True) for block in table[: -(-n // BLOCK_TOKENS)]}
    )
    model.cache[:, :, used] = torch.randn_like(model.cache[:, :, used].float()).bfloat16()
    queries = torch.randn(count, heads, dim, device="cuda").bfloat16()
    whole = torch.arange(count, dtype=torch.int32, device="cuda")
    at = torch.tensor(lengths, dtype=torch.int32, device="cuda") - 1
    with poisoned():
        out = torch.empty_like(queries)
        model._attend_blocks(queries, *model.cache[0], Rows(whole, at, whole, count), out)
    for row, (table, length) in enumerate(zip(places, lengths, strict=True)):
        keys, values = (
            c[table].transpose(1, 2).reshape(-1, kv_heads, dim)[:length].double() for c in model.cache[0]
        )
        exact = torch.nn.functional.scaled_dot_product_attention(
            queries[row].double().unsqueeze(1), keys.transpose(0, 1), values.transpose(0, 1), enable_gqa=True
        )
        assert error(out[row], exact[:, 0]) < BF16_ERROR, (row, length)


def test_prompts_attend_to_all_that_stands_before_them() -> None:
    from reference_server.gpu.prompts import Prompts, attend_prompts

    keys, values = torch.randn(2, 640, 3, BLOCK_TOKENS, 64, device="cuda").bfloat16()
    spans = [(0, 100, tables(3)[0]), (130, 259, tables(3)[1]), (48, 50, tables(3)[2])]
    queries = torch.randn(100 + 129 + 2, 9, 64, device="cuda").bfloat16()
    with poisoned():
        out = torch.empty_like(queries)
    attend_prompts(queries, keys, values, Prompts.of(spans, torch.device("cuda")), out)
    first = 0
    for start, end, table in spans:
        k, v = (
            c[table].transpose(1, 2).reshape(-1, 3, 64)[:end].double().transpose(0, 1) for c in (keys, values)
        )
        mask = torch.arange(end, device="cuda") <= torch.arange(start, end, device="cuda").unsqueeze(1)
        q = queries[first : first + end - start].double().transpose(0, 1)
        exact = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        assert error(out[first : first + end - start], exact.transpose(0, 1)) < BF16_ERROR
        first += end - start


@pytest.mark.parametrize("int8", [False, True], ids=["bf16", "int8"])
def test_graphs_draw_the_tokens_of_eager_steps(int8: bool) -> None:
    weights = weights_of(SMALL, int8=int8)
    prompts = prompts_of(SMALL, [3, 100, 257, 31, 64])
    for sampling in (
        GREEDY,
        Sampling(seed=-9, temperature=0.8),
        Sampling(seed=4, temperature=1.0, top_p=0.7),
    ):
        replayed, eager = (backend_of(SMALL, weights, graphs=graphs) for graphs in (True, False))
        assert generate(replayed, prompts, 40, sampling=sampling) == generate(
            eager, prompts, 40, sampling=sampling
        )
        assert replayed.graphs.replayed > 30
        assert not eager.graphs.replayed


def test_noise_depends_on_seed_and_position_alone() -> None:
    logits = torch.randn(50, generator=torch.Generator().manual_seed(0)).cuda()
    drawn = drawn_tokens(logits, range(100_000), seed=7)
    counts = torch.bincount(drawn.long(), minlength=50).tolist()
    assert fit_p(counts, shares_of(logits)) > 0.001
    assert torch.equal(drawn_tokens(logits, range(100, 110), seed=7), drawn[100:110])
    assert not torch.equal(drawn_tokens(logits, range(1_000), seed=8), drawn[:1_000])


def test_the_largest_noise_that_there_is_does_not_draw_what_has_no_chance() -> None:
    logits = torch.zeros(2048, device="cuda")
    logits[3] = 60
    assert drawn_tokens(logits, [ONE_BITS["position"]], seed=ONE_BITS["seed"]).tolist() == [3]


def test_tokens_outside_the_alphabet_are_not_drawn() -> None:
    backend = backend_of(SMALL, weights_of(SMALL), alphabet=range(32, 127))
    answers = generate(backend, prompts_of(SMALL, [9, 40]), 30, sampling=Sampling(seed=1, temperature=50.0))
    assert all(32 <= token < 127 for answer in answers for token in answer)
    assert len({token for answer in answers for token in answer}) > 20


@pytest.mark.parametrize("name", ["135m", "1b"])
def test_choices_that_differ_from_transformers_are_near_ties(name: str) -> None:
    shape = replace(NAMED_SHAPES[name], eos=())
    weights = weights_of(shape)
    reference = hugging_face_model(shape, {k: w for k, w in weights.items() if isinstance(w, Tensor)})
    prompts = prompts_of(shape, [100, 33, 257, 64, 15, 180, 7, 128])
    positions = agreed = 0
    gaps = []
    backend = backend_of(shape, weights, slots=8)
    with torch.inference_mode():
        for i, prompt in enumerate(prompts):
            forced = reference.generate(
                torch.tensor([prompt], device="cuda"),
                max_new_tokens=64,
                do_sample=False,
                eos_token_id=-1,
                pad_token_id=0,
            )[0].tolist()
            logits = reference(torch.tensor([forced], device="cuda")).logits[0].float()
            table = tables(8)[i]
            chosen = backend.submit([Piece(i, 0, tuple(prompt), table, GREEDY, True)]).tokens()
            for at in range(len(prompt), len(forced) - 1):
                chosen += backend.submit([Piece(i, at, (forced[at],), table, GREEDY, True)]).tokens()
            for at, token in enumerate(chosen, start=len(prompt) - 1):
                best = int(logits[at].argmax())
                positions, agreed = positions + 1, agreed + (token == best)
                if token != best:
                    gaps.append(float((logits[at, best] - logits[at, token]) / logits[at].std()))
    print(
        f"\n{name}: {agreed} of {positions} choices agree ({agreed / positions:.2%}); gaps {sorted(gaps)[-5:]}"
    )
    assert agreed / positions > 0.9
    assert max(gaps, default=0.0) < NEAR_TIE
