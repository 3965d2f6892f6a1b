"""Draws of one distribution at many positions by the device's sampler, on a GPU or in Triton's interpreter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TEMPERATURE = 0.7
ONE_BITS = {"seed": 7, "position": 1056, "token": 1756}
"""Where the 24 highest bits of the noise are all ones: the largest noise that there is."""


def drawn_tokens(logits: "Tensor", positions: Sequence[int], seed: int) -> "Tensor":
    """One token for each position, int32 on the device of the logits; each is left in its slot, too.

    Args:
        logits: float32 (vocabulary,), the same at every position.
        positions: of the rows, in their order.
        seed: below 2^31.
    """
    import torch

    from reference_server.gpu.sampling import draw

    count, vocabulary, device = len(positions), len(logits), logits.device
    rows = torch.arange(count, dtype=torch.int32, device=device)
    temperature = torch.full((count,), TEMPERATURE, device=device).view(torch.int32)
    draws = torch.stack((rows, rows * 0 + seed, rows * 0, temperature, rows * 0))
    last = torch.zeros(count, dtype=torch.int32, device=device)
    forbidden = torch.zeros(2, vocabulary, dtype=torch.int8, device=device)
    places = torch.tensor(positions, dtype=torch.int32, device=device)
    drawn = draw(logits.expand(1, count, -1).contiguous(), draws, places, rows, forbidden, last)
    assert torch.equal(last, drawn)
    return drawn


def shares_of(logits: "Tensor") -> list[float]:
    """What the softmax says of each token."""
    shares: list[float] = (logits.double() / TEMPERATURE).softmax(dim=0).tolist()
    return shares
