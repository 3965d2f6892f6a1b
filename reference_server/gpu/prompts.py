"""Attention of many queries: a step's pieces of several tokens, over gathered keys and values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reference_server.batch import BLOCK_TOKENS


@dataclass(frozen=True, slots=True)
class Prompts:
    """The pieces of several tokens, for attention of many queries: where each one's queries and keys begin."""

    query_ends: Tensor
    key_ends: Tensor
    most_queries: int
    most_keys: int
    blocks: Tensor
    """Block of each key."""
    cells: Tensor
    """Its place in the block."""

    @classmethod
    def of(cls, spans: Sequence[tuple[int, int, Sequence[int]]], device: torch.device) -> "Prompts":
        """From (start, end, block table) of each piece."""
        places = np.concatenate([np.arange(end) for _, end, _ in spans])
        blocks = np.concatenate(
            [
                np.repeat(np.asarray(table[: -(-end // BLOCK_TOKENS)]), BLOCK_TOKENS)[:end]
                for _, end, table in spans
            ]
        )
        queries, keys = [end - start for start, end, _ in spans], [end for _, end, _ in spans]
        return cls(
            torch.tensor([0, *np.cumsum(queries)], dtype=torch.int32, device=device),
            torch.tensor([0, *np.cumsum(keys)], dtype=torch.int32, device=device),
            max(queries),
            max(keys),
            torch.from_numpy(blocks).to(device),
            torch.from_numpy(places % BLOCK_TOKENS).to(device),
        )


def attend_prompts(queries: Tensor, keys: Tensor, values: Tensor, prompts: Prompts, out: Tensor) -> None:
    """Causal attention of each prompt's piece over all keys up to it, through torch's own FlashAttention."""
    gathered = (cache.transpose(1, 2)[prompts.blocks, prompts.cells] for cache in (keys, values))
    result = torch.ops.aten._flash_attention_forward(
        queries, *gathered, prompts.query_ends, prompts.key_ends, prompts.most_queries, prompts.most_keys, 0.0, True,
        False,
    )  # fmt: skip
    out.copy_(result[0])
