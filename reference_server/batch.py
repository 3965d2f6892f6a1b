"""One step: the seam between the scheduler, which thinks in sequences, and a backend, which thinks in tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from reference_server.sampler import Sampling
from reference_server.shaping import History, TokenLogprobs

BLOCK_TOKENS = 16
"""Positions of one KV block: what is allocated, shared between sequences, and evicted as one."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One sequence's part of a step."""

    slot: int
    """Below the limit of running sequences, the sequence's own from admission to retirement. A backend may keep
    what belongs to a sequence by its slot, on its device: the token that was drawn last."""
    start: int
    """Position of the first token computed."""
    tokens: tuple[int, ...] | None
    """Tokens to compute; None is the one token that this slot drew last, wherever that lies."""
    blocks: Sequence[int]
    """The block table: entry i names the block of positions i * BLOCK_TOKENS and on; it covers the piece, and
    stands still only while the step is submitted."""
    sampling: Sampling | None
    """How the token after the piece is drawn; None draws none: the prompt goes on."""
    ignore_eos: bool = False
    """Never draw an end-of-sequence token."""
    history: History | None = None
    """What a shaped draw looks back at; None where the sampling has no shaping."""


class BackendLostError(Exception):
    """A backend that is spread over processes lost one of them, and with it all KV blocks; a new one must be made."""


class Drawn(Protocol):
    """The tokens of a step that was submitted."""

    def tokens(self) -> list[int]:
        """One per piece that draws, in their order; waits for them."""
        ...

    @property
    def logprobs(self) -> Mapping[int, TokenLogprobs]:
        """Of those draws that asked for them, by place among the tokens."""
        ...


@dataclass(slots=True)
class BackendStatistics:
    """What a backend tells about itself, where it knows: written on its thread, read on any."""

    weight_bytes: int = 0
    """What every step reads of the weights."""
    kv_bytes: int = 0
    """Keys and values of one position, all layers."""
    copy_bytes_per_s: float | None = None
    """What a copy on the device was measured to read and write; None: unknown."""
    graph_steps: int = 0
    """Steps replayed from a captured graph, since the start."""
    eager_steps: int = 0
    """Steps launched kernel by kernel, since the start."""
    idle_s: float | None = None
    """How long the device sat idle between steps although there was work, since the start; None: not measured there."""
    one_off_s: float = 0.0
    """How much longer than usual the step in progress may take, for a compilation or a capture."""
    lost: str | None = None
    """Why it can never compute again, noticed outside of a step; None while it can."""


class Backend(Protocol):
    """A model with its KV blocks on one device, or on several that act as one. Used by one thread at a time."""

    blocks: int
    """How many KV blocks there are; a piece names them 0 to blocks - 1."""
    statistics: BackendStatistics
    lookahead: int
    """How many further steps may be submitted before the tokens of one are read: 0 where a step is computed at once."""
    shapes: bool
    """Whether it draws with a `Shaping`; one that does not is never given any."""

    def prepare(self) -> None:
        """Before the first step, once: do what steps would otherwise wait for when they first need it."""
        ...

    def submit(self, pieces: Sequence[Piece]) -> Drawn:
        """Compute a step after those submitted before: keys and values go into the blocks, tokens are drawn."""
        ...
