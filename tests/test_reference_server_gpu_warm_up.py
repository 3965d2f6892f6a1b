"""Ready means warm: what steps can need is there before the first request. Launches are listed on any machine."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from reference_server.batch import BLOCK_TOKENS, Piece
from reference_server.block_pool import BlockPool
from reference_server.core import Core
from reference_server.instrumentation import Uninstrumented
from reference_server.models.quantization import Int8Weight, quantize
from reference_server.models.shapes import Shape
from reference_server.models.weights import random_weights
from reference_server.policies import Continuous
from reference_server.sampler import Sampling
from reference_server.scheduler import Limits, Scheduler
from reference_server.sequence import TokenSequence

triton = pytest.importorskip("triton")
from reference_server.gpu.warm_up import Reach  # noqa: E402  where triton is

SHAPE = Shape(
    layers=1, hidden=1024, heads=8, kv_heads=2, head_dim=64, feed_forward=2048, vocabulary=300, eos=()
)
CPU = torch.device("cpu")
WAYS = (
    Sampling(seed=0, temperature=0.0),
    Sampling(seed=-3, temperature=0.8),
    Sampling(seed=5, temperature=1.0, top_p=0.6),
    None,
)
Launches = set[tuple[Any, ...]]


def specialisation(kernel: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, ...]:
    """What Triton compiles a kernel for: its key, as the kernel's own declarations have it."""
    given = dict(zip((p.name for p in kernel.params), arguments, strict=False)) | options
    key: list[Any] = [kernel.__name__]
    for p in kernel.params:
        value = given.pop(p.name)
        if p.is_constexpr:
            key.append(value)
        elif isinstance(value, torch.Tensor):
            free = p.do_not_specialize or p.do_not_specialize_on_alignment
            key.append((value.dtype, None if free else value.data_ptr() % 16 == 0))
        elif isinstance(value, int):
            key.append(None if p.do_not_specialize else (value == 1, value % 16 == 0))
    return (*key, *sorted(given.items()))


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> Launches:
    """Every specialisation that is launched; nothing is computed."""
    from reference_server.gpu import linear, model

    seen: Launches = set()

    def run(kernel: Any, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> None:
        seen.add(specialisation(kernel, arguments, options))

    monkeypatch.setattr(triton.runtime.jit.JITFunction, "run", run)
    monkeypatch.setattr(model, "attend_prompts", lambda *_: None)
    monkeypatch.setattr(torch, "mm", lambda rows, matrix: rows.new_empty(len(rows), matrix.shape[1]))
    for module in (linear, model):
        monkeypatch.setattr(module, "processors", lambda _: 132)
    return seen


@cache
def weights_of(*, int8: bool) -> dict[str, torch.Tensor | Int8Weight]:
    """The same for every test."""
    return {
        name: quantize(weight) if int8 and weight.ndim == 2 else weight
        for name, weight in random_weights(SHAPE, 0).items()
    }


def random_step(source: random.Random, reach: Reach) -> list[Piece]:
    """Any pieces that fit a step, in any company, at any place."""
    pieces: list[Piece] = []
    rows, context = reach.step_tokens, reach.context
    for slot in source.sample(range(reach.slots), source.randint(1, reach.slots)):
        if rows == 0:
            break
        width = min(rows, context, 1 if source.random() < 0.5 else source.randint(1, rows))
        start = source.randint(0, context - width)
        blocks = range(-(-(start + width) // BLOCK_TOKENS))
        tokens = None if width == 1 and start and source.random() < 0.5 else (0,) * width
        pieces.append(Piece(slot, start, tokens, blocks, source.choice(WAYS), source.random() < 0.5))
        rows -= width
    return pieces


@pytest.mark.skipif("torch.cuda.is_available()", reason="launches of a backend on the CPU are listed")
@pytest.mark.parametrize("int8", [False, True], ids=["16 bits", "8 bits"])
@pytest.mark.parametrize(
    ("reach", "reads"),
    [
        (Reach(slots=16, step_tokens=128, context=256), 1 << 17),
        (Reach(slots=1, step_tokens=24, context=64), 1 << 17),
        (Reach(slots=24, step_tokens=320, context=48), 1 << 17),
        (Reach(slots=7, step_tokens=100, context=128), 1 << 11),
    ],
    ids=["as in the GPU experiment", "one slot", "steps above the graphs", "prompts that read much"],
)
def test_no_step_needs_a_kernel_that_was_not_launched_before_the_replica_was_ready(
    reach: Reach, reads: int, int8: bool, launches: Launches, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reference_server.gpu import backend as module

    monkeypatch.setattr(module, "NARROW_READS", reads)
    backend = module.GpuBackend(
        SHAPE, weights_of(int8=int8), context=reach.context, blocks=reach.slots * reach.context // BLOCK_TOKENS,
        slots=reach.slots,
        device=CPU, dtype=torch.float32, step_tokens=reach.step_tokens,
    )  # fmt: skip
    backend.prepare()
    ready = set(launches)
    assert len(ready) > 15
    source = random.Random(4)
    for _ in range(80):
        backend.submit(random_step(source, reach)).tokens()
    late = launches - ready
    assert not late


@pytest.mark.parametrize(("step_tokens", "largest"), [(128, 128), (64, 64), (2048, 256)])
def test_graphs_are_made_of_no_step_larger_than_steps_are(step_tokens: int, largest: int) -> None:
    from reference_server.gpu.backend import GpuBackend
    from reference_server.gpu.graphs import graph_sizes

    backend = GpuBackend(
        SHAPE, weights_of(int8=False), context=256, blocks=32, slots=16, device=CPU, step_tokens=step_tokens
    )
    assert graph_sizes(backend.graphs.limit)[-1] == largest


def test_a_lazy_backend_prepares_nothing(launches: Launches) -> None:
    from reference_server.gpu.backend import GpuBackend

    GpuBackend(
        SHAPE, weights_of(int8=False), context=256, blocks=32, slots=16, device=CPU, lazy=True
    ).prepare()
    assert not launches


def test_what_fails_beside_the_launches_fails_the_start(
    launches: Launches, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reference_server.gpu import sampling
    from reference_server.gpu.backend import GpuBackend

    def nucleus(*_: object) -> torch.Tensor:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(sampling, "nucleus", nucleus)
    backend = GpuBackend(SHAPE, weights_of(int8=False), context=256, blocks=32, slots=16, device=CPU)
    with pytest.raises(RuntimeError, match="no kernel image"):
        backend.prepare()


def test_kernels_are_compiled_by_one_of_all_that_start_at_once_and_by_the_others_after_it(
    tmp_path: Path,
) -> None:
    from reference_server.gpu.kernel_cache import made_once

    inside, most, alone = [0], [0], []
    begin = threading.Barrier(6)

    def start(name: int) -> None:
        begin.wait()
        with made_once("kernels", tmp_path / "cache"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            if not (tmp_path / "cache" / "aftershock-kernels.made").exists():
                alone.append(name)
                time.sleep(0.2)
                assert inside[0] == 1
            else:
                time.sleep(0.2)
            inside[0] -= 1

    _all(start, 6)
    assert len(alone) == 1
    assert most[0] > 1  # the others, together


def test_who_fails_to_compile_leaves_it_to_the_next(tmp_path: Path) -> None:
    from reference_server.gpu.kernel_cache import made_once

    with suppress(ZeroDivisionError), made_once("kernels", tmp_path):
        raise ZeroDivisionError
    assert not list(tmp_path.glob("*.made"))
    with made_once("kernels", tmp_path):
        pass
    assert list(tmp_path.glob("*.made"))


def test_a_cache_that_cannot_be_written_to_is_used_without_a_lock(tmp_path: Path) -> None:
    from reference_server.gpu.kernel_cache import made_once

    (tmp_path / "file").write_text("in the way of the folder")
    entered = False
    with made_once("kernels", tmp_path / "file"):
        entered = True
    assert entered


def _all(call: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=call, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("slots", "step_tokens", "context", "blocks"),
    [(16, 128, 512, 64), (8, 512, 1024, 70)],
    ids=["as in the GPU experiment", "steps above the graphs"],
)
def test_requests_of_every_kind_find_all_kernels_and_graphs_there(
    slots: int, step_tokens: int, context: int, blocks: int
) -> None:
    from reference_server.gpu.backend import GpuBackend
    from reference_server.gpu.kernel_cache import held
    from reference_server.gpu.warm_up import KERNELS

    device = torch.device("cuda")
    backend = GpuBackend(
        SHAPE, random_weights(SHAPE, 0, device), context=context, blocks=blocks, slots=slots, device=device,
        step_tokens=step_tokens, alphabet=range(256),
    )  # fmt: skip
    backend.prepare()
    kernels, graphs = held(KERNELS), sorted(backend.graphs.captured)
    assert kernels > 15
    assert graphs[-1] == backend.graphs.limit
    pool = BlockPool(blocks, cached=blocks, ttl_s=60)
    scheduler = Scheduler(Limits(slots, step_tokens), pool, Continuous())
    core = Core(backend, scheduler, (), Uninstrumented())
    source = random.Random(6)
    for i in range(120):
        length = source.randint(1, source.choice((20, 60, context - 100)))
        prompt = [source.randrange(SHAPE.vocabulary) for _ in range(length)]
        sampling = source.choice(WAYS[:3]) or WAYS[0]
        core.add(TokenSequence(prompt, source.randint(1, 100), sampling, salt=str(i)))
    while core.busy or scheduler.waiting:
        core.admit()
        core.step()
    assert scheduler.preemptions
    assert (held(KERNELS), sorted(backend.graphs.captured)) == (kernels, graphs)
    if step_tokens <= backend.graphs.limit:
        assert not backend.statistics.eager_steps
