"""A whole text at once through a Llama, in float32 on the CPU: what the tools measure models with.

The server computes rows against a paged cache; this computes one sequence without any. Products in 8 bits are the
server's own.
"""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812  the name everyone knows it by
from torch import Tensor

from reference_server.model import look_up, rotary_table, rotate
from reference_server.models.quantization import Int8Product, Int8Weight
from reference_server.models.shapes import Shape
from reference_server.models.weights import EMBEDDING, FINAL_NORM, HEAD, Weights, layer_name

Watch = Callable[[str, Tensor], None]
"""Takes a matrix's name and the rows that it is about to be applied to."""


class WholeText:
    """The decoder without a cache."""

    def __init__(self, shape: Shape, weights: Weights) -> None:
        self._shape = shape
        self._weights = {name: _held(weight) for name, weight in weights.items()}

    def logits(self, tokens: Tensor, watch: Watch | None = None) -> Tensor:
        """(tokens,) to (tokens, vocabulary)."""
        shape = self._shape
        with torch.inference_mode():
            rotation = rotary_table(shape, len(tokens)).float().unbind(dim=1)
            apply = functools.partial(self._apply, watch=watch)
            hidden = look_up(tokens, self._weights[EMBEDDING])
            for i in range(shape.layers):
                name = functools.partial(layer_name, i)
                rows = self._norm(hidden, name("input_layernorm"))
                query, key, value = (apply(name(f"self_attn.{part}_proj"), rows) for part in "qkv")
                attended = self._attend(query, key, value, rotation)
                hidden = hidden + apply(name("self_attn.o_proj"), attended)
                rows = self._norm(hidden, name("post_attention_layernorm"))
                gate, up = (apply(name(f"mlp.{part}_proj"), rows) for part in ("gate", "up"))
                hidden = hidden + apply(name("mlp.down_proj"), F.silu(gate) * up)
            return apply(EMBEDDING if shape.tied_head else HEAD, self._norm(hidden, FINAL_NORM))

    def memory_bytes(self) -> int:
        """What the weights take while they are used."""
        return sum(
            weight.memory_bytes() if isinstance(weight, Int8Product) else weight.nbytes
            for weight in self._weights.values()
        )

    def _apply(self, name: str, rows: Tensor, watch: Watch | None) -> Tensor:
        if watch is not None:
            watch(name, rows)
        weight = self._weights[name]
        return weight(rows) if isinstance(weight, Int8Product) else rows @ weight.t()

    def _norm(self, hidden: Tensor, name: str) -> Tensor:
        weight = self._weights[name]
        assert isinstance(weight, Tensor)
        return F.rms_norm(hidden, (self._shape.hidden,), weight, self._shape.norm_epsilon)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, rotation: tuple[Tensor, ...]) -> Tensor:
        query, key, value = (rows.view(len(rows), -1, self._shape.head_dim) for rows in (query, key, value))
        query, key = rotate(query, *rotation), rotate(key, *rotation)
        query, key, value = (rows.transpose(0, 1).unsqueeze(0) for rows in (query, key, value))
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        return attended.squeeze(0).transpose(0, 1).flatten(1)


def _held(weight: Tensor | Int8Weight) -> Tensor | Int8Product:
    return Int8Product(weight) if isinstance(weight, Int8Weight) else weight.float()
