"""A model over ranks: the same answers as from one, whatever the grid, and a group that ends and starts as one."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import torch

from reference_server.batch import BackendLostError, Piece
from reference_server.config import Settings
from reference_server.errors import ConfigError
from reference_server.grid import Grid, Place
from reference_server.loading import load_backend
from reference_server.models.served_model import ServedModel
from reference_server.models.shapes import NAMED_SHAPES, Shape
from reference_server.models.tokenizer import PRINTABLE
from reference_server.models.weights import random_weights, tensor_sizes
from reference_server.sampler import Sampling
from reference_server.server import Server
from reference_server.shards.backend import Group, ShardedBackend
from reference_server.shards.nursery import Nursery
from reference_server.shards.slicing import shard
from tests.support.reference_replicas import Process, replica_process
from tests.support.shard_model import compared, modelled_step_s, table

Eventually = Callable[..., Any]

SHAPE = Shape(layers=4, hidden=64, heads=8, kv_heads=8, head_dim=16, feed_forward=192, vocabulary=320, eos=())
SETTINGS = Settings(max_running=4, max_context=128, torch_threads=1)
GREEDY, SEEDED = Sampling(seed=0, temperature=0), Sampling(seed=7, top_p=0.9)


def load(shape: Shape = SHAPE) -> Any:
    return partial(load_backend, SETTINGS, ServedModel("test", shape, 128, None, PRINTABLE))


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with closing(Nursery()) as one:
        yield one


def alive(process: psutil.Process) -> bool:
    """Not ended; who is to bury it does not matter."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def ranks_of(nursery_pid: int) -> list[psutil.Process]:
    return [one for one in psutil.Process(nursery_pid).children() if alive(one)]


def answers(backend: Any, tokens: int = 12) -> list[list[int]]:
    """Two sequences side by side, one greedy and one seeded; the second one's prompt comes in two parts."""
    blocks = [list(range(8 * slot, 8 * slot + 8)) for slot in range(2)]
    prompts = [tuple(range(65, 85)), tuple(range(40, 75))]
    assert backend.submit([Piece(1, 0, prompts[1][:17], blocks[1], None)]).tokens() == []
    steps = [
        backend.submit(
            [
                Piece(0, 0, prompts[0], blocks[0], GREEDY),
                Piece(1, 17, prompts[1][17:], blocks[1], SEEDED),
            ]
        ).tokens()
    ]
    for i in range(tokens - 1):
        pieces = [
            Piece(slot, len(prompts[slot]) + i, None, blocks[slot], sampling)
            for slot, sampling in enumerate((GREEDY, SEEDED))
        ]
        steps.append(backend.submit(pieces).tokens())
    return steps


def answers_for_ever(backend: Any) -> None:
    while True:
        answers(backend, tokens=2)


@pytest.fixture(scope="module")
def alone() -> list[list[int]]:
    return answers(load()())


@pytest.mark.parametrize(
    "grid",
    [Grid(2), Grid(4), Grid(1, 2), Grid(1, 4), Grid(2, 2), Grid(8)],
    ids=["2 lanes", "4 lanes", "2 stages", "4 stages", "2 lanes in 2 stages", "8 lanes"],
)
def test_greedy_and_seeded_answers_are_the_same_on_any_grid(
    grid: Grid, nursery: Nursery, alone: list[list[int]]
) -> None:
    with closing(ShardedBackend(Group(grid, nursery), load())) as backend:
        assert len(ranks_of(nursery.pid)) == grid.ranks
        assert answers(backend) == alone
    assert ranks_of(nursery.pid) == []


def test_a_head_that_does_not_divide_and_a_tied_one_give_the_same_answers(nursery: Nursery) -> None:
    for shape in (replace(SHAPE, vocabulary=321), replace(SHAPE, tied_head=True)):
        with closing(ShardedBackend(Group(Grid(2), nursery), load(shape))) as backend:
            assert answers(backend, tokens=4) == answers(load(shape)(), tokens=4)


def test_every_exchange_of_a_step_is_timed_and_told(nursery: Nursery, eventually: Eventually) -> None:
    told: list[tuple[str, str, float]] = []
    group = Group(Grid(2, 2), nursery, lambda *timing: told.append(timing))
    with closing(ShardedBackend(group, load())) as backend:
        backend.submit([Piece(0, 0, (65,), [0], GREEDY)]).tokens()
        expected = {
            ("all_reduce", "rank0-1"): 4,  # two layers in each stage, two sums in each
            ("all_reduce", "rank2-3"): 4,
            ("all_gather", "rank2-3"): 1,
            ("send", "rank2"): 1,
            ("recv", "rank0"): 1,
        }
        eventually(lambda: len(told) == sum(expected.values()), within_s=30)
    counted = {key: sum((op, peer) == key for op, peer, _ in told) for key in expected}
    assert counted == expected
    assert all(0 < seconds < 10 for *_, seconds in told)


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_rank_that_dies_or_stops_is_noticed_in_two_seconds_and_takes_its_group_with_it(
    fault: signal.Signals, nursery: Nursery, alone: list[list[int]]
) -> None:
    group = Group(Grid(2), nursery)
    backend = ShardedBackend(group, load())
    answers(backend)
    ranks = ranks_of(nursery.pid)
    ranks[1].send_signal(fault)
    began_s = time.monotonic()
    with pytest.raises(BackendLostError, match=r"rank 1 (ended|has not been heard)"):
        answers_for_ever(backend)
    assert time.monotonic() - began_s < 2
    assert not any(map(alive, ranks))
    with closing(ShardedBackend(group, load())) as again:
        assert answers(again) == alone


def test_a_loss_is_noticed_while_nothing_is_computed(nursery: Nursery, eventually: Eventually) -> None:
    with closing(ShardedBackend(Group(Grid(2), nursery), load())) as backend:
        ranks_of(nursery.pid)[0].kill()
        eventually(lambda: backend.statistics.lost == "rank 0 ended", within_s=2)


def test_a_step_that_never_ends_is_noticed(nursery: Nursery) -> None:
    small = replace(NAMED_SHAPES["small"], eos=(), layers=24)
    backend = ShardedBackend(Group(Grid(2), nursery, answer_s=0.05), load(small))
    backend.submit([Piece(0, 0, (65,), range(8), GREEDY)]).tokens()
    with pytest.raises(BackendLostError, match=r"a step takes longer than 0\.05 s"):
        backend.submit([Piece(0, 0, tuple(range(100)), range(8), GREEDY)] * 4).tokens()


def test_a_rank_that_cannot_load_ends_the_group_with_its_reason(nursery: Nursery) -> None:
    missing = partial(load_backend, SETTINGS, ServedModel("test", SHAPE, 128, Path("missing"), PRINTABLE))
    with pytest.raises(ConfigError, match="missing: a safetensors file is expected"):
        ShardedBackend(Group(Grid(2), nursery), missing)
    assert ranks_of(nursery.pid) == []


def test_a_nursery_that_is_killed_takes_its_ranks_along_and_is_replaced(
    alone: list[list[int]], eventually: Eventually
) -> None:
    with closing(Nursery()) as nursery:
        group = Group(Grid(2), nursery)
        backend = ShardedBackend(group, load())
        ranks = ranks_of(nursery.pid)
        os.kill(nursery.pid, signal.SIGKILL)
        with pytest.raises(BackendLostError):
            answers_for_ever(backend)
        eventually(lambda: not any(map(alive, ranks)), within_s=2)
        with closing(ShardedBackend(group, load())) as again:
            assert answers(again) == alone


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("sharded")
    with replica_process(folder, DS_TENSOR_PARALLEL="2", DS_TORCH_THREADS="1") as one:
        yield one


def completion(replica: Process, **fields: Any) -> requests.Response:
    body: dict[str, Any] = {"prompt": "Hello", "seed": 1, "max_tokens": 16} | fields
    stream = bool(fields.get("stream"))
    return requests.post(f"{replica.url}/v1/completions", json=body, timeout=60, stream=stream)


def nursery_of(server: int) -> int:
    return next(one.pid for one in psutil.Process(server).children() if "--standby" in one.cmdline())


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_replica_that_loses_a_rank_fails_what_is_in_flight_and_serves_again(
    fault: signal.Signals, replica: Process, eventually: Eventually
) -> None:
    eventually(lambda: replica.probe("readyz") == 200, within_s=60)
    before = completion(replica).json()["choices"][0]["text"]
    with completion(replica, stream=True, max_tokens=1000) as answer:
        lines = (line for line in answer.iter_lines() if line)
        assert b'"text"' in next(lines)
        ranks_of(nursery_of(replica.process.pid))[1].send_signal(fault)
        began_s = time.monotonic()
        last = list(lines)[-1]
        assert time.monotonic() - began_s < 2
        assert b'"code":"unavailable"' in last.replace(b" ", b"")
    eventually(lambda: replica.probe("readyz") == 200, within_s=30)
    assert completion(replica).json()["choices"][0]["text"] == before
    series = 'ds_comm_latency_seconds_count{op="all_reduce",peer="rank0-1",scope="intra"}'
    # A rank's timings come with its next pulse: until then there is no such series.
    eventually(lambda: f"{series} " in requests.get(replica.metrics_url, timeout=10).text, within_s=30)
    assert replica.metric(series) > 0


def test_no_rank_outlives_a_server_that_is_killed(replica: Process, eventually: Eventually) -> None:
    # The last test that asks for this replica.
    eventually(lambda: replica.probe("readyz") == 200, within_s=60)
    nursery = psutil.Process(nursery_of(replica.process.pid))
    family = [nursery, *nursery.children()]
    replica.process.kill()
    eventually(lambda: not any(map(alive, family)), within_s=30)


def test_the_parts_of_all_ranks_are_the_whole() -> None:
    weights = random_weights(SHAPE, seed=0)
    for ranks in (1, 2, 4, 8):
        parts = [shard(SHAPE, weights, Place(Grid(ranks), rank))[1] for rank in range(ranks)]
        for name, size in tensor_sizes(SHAPE).items():
            found = [part[name] for part in parts]
            split = [d for d, whole in enumerate(size) if found[0].shape[d] != whole]
            joined = torch.cat(found, dim=split[0]) if split else found[0]
            assert torch.equal(joined, weights[name]), (name, ranks)
            replicated = re.search("norm|embed", name) is not None
            assert bool(split) == (ranks > 1 and not replicated), (name, ranks)


def test_every_layer_is_in_exactly_one_stage() -> None:
    shape = replace(SHAPE, layers=5)
    weights = random_weights(shape, seed=0)
    grid = Grid(1, 3)
    stages = [shard(shape, weights, Place(grid, rank)) for rank in range(3)]
    assert [stage.layers for stage, _ in stages] == [1, 2, 2]
    held = [tensor.data_ptr() for _, part in stages for tensor in part.values()]
    assert sorted(held) == sorted(tensor.data_ptr() for tensor in weights.values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tensor_parallel": 4}, r"DS_TENSOR_PARALLEL: .* KV heads \(2\) is expected, not 4"),
        ({"tensor_parallel": 2, "model_name": "135m"}, r"DS_TENSOR_PARALLEL: .* KV heads \(3\)"),
        (
            {"pipeline_parallel": 3},
            r"DS_PIPELINE_PARALLEL: at most one stage per layer \(2\) is expected, not 3",
        ),
    ],
)
def test_a_grid_that_does_not_fit_the_shape_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Server(Settings(host="127.0.0.1", port=0, metrics_port=0, **settings))


def test_the_model_shares_a_step_and_adds_its_sums() -> None:
    modelled = [modelled_step_s(8.0, 0.25, sums=4, ranks=ranks) for ranks in (2, 4, 8)]
    assert modelled == [(5.0, 5.0), (3.0, 4.0), (2.0, 4.0)]


def test_measured_and_modelled_speed_ups_stand_side_by_side() -> None:
    runs = [
        {"shards": 1, "graphed_sums_s": {}, "batches": [{"batch": 1, "step_s": 8.0}]},
        {"shards": 2, "graphed_sums_s": {"1": 0.25}, "batches": [{"batch": 1, "step_s": 4.0}]},
    ]
    lines = table(compared(runs, (1, 2), sums=4)).splitlines()
    assert [line.split() for line in lines[2:]] == [
        ["1", "2", "0", "2.00", "100%", "|", "1.60", "to", "1.60"],
        ["1", "4", "not", "run", "|", "2.00", "to", "2.67"],
        ["1", "8", "not", "run", "|", "2.00", "to", "4.00"],
    ]
