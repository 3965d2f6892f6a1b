"""One request as the engine sees it, and what the engine says about it after a step."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from reference_server.batch import BLOCK_TOKENS
from reference_server.block_pool import Link
from reference_server.instrumentation import RequestEvents, Uninstrumented
from reference_server.sampler import Sampling
from reference_server.shaping import TokenLogprobs
from reference_server.text_stream import TextStream


@dataclass(frozen=True, slots=True)
class Output:
    """One generated token's worth of answer."""

    text: str = ""
    """Empty while characters are held back."""
    finish_reason: str | None = None
    """`stop` or `length` with the last token."""
    logprobs: TokenLogprobs | None = None
    """Where the request asked for them."""


@dataclass(slots=True, eq=False)
class TokenSequence:
    """A request being answered; the engine's thread alone writes what is below the line."""

    prompt: list[int]
    max_tokens: int
    sampling: Sampling
    text: TextStream = field(default_factory=TextStream)
    ignore_eos: bool = False
    stop_ids: frozenset[int] = frozenset()
    """Tokens that end this answer, besides those that end any; they are counted and not said."""
    salt: str = ""
    """Prefixes are shared only between sequences of equal salt."""
    priority: int = 0
    """Lower is more urgent."""
    events: RequestEvents = field(default_factory=Uninstrumented)
    send: Callable[[Output], bool] = lambda _: False
    """Called on the engine's thread, once per output: whether it is on its way, so that nobody need receive it."""
    receive: Callable[[Output], None] = lambda _: None
    """Called on the receiving side's thread with all others, in order."""

    tokens: list[int] = field(init=False)
    """Prompt and answer, as far as they were read."""
    pending: int = 0
    """How many further tokens of the answer are drawn in steps whose tokens were not read yet."""
    computed: int = 0
    """How many positions have keys and values, or will after the steps that were submitted."""
    given: int = 0
    """How many of its tokens were known when it was admitted last; 0 before. Later ones are drawn in its slot."""
    cached: int = 0
    """How many tokens of the prompt came out of the prefix cache."""
    slot: int = -1
    blocks: "array[int]" = field(default_factory=lambda: array("i"))
    """Its block table; empty while it does not run."""
    chain: list[Link] = field(default_factory=list)
    """The links of its full blocks, as far as they were needed."""
    remembered: int = 0
    """How many of its blocks the pool was told of."""
    order: tuple[int, int] = (0, 0)
    """Priority, then arrival: before it come all that may take its place."""
    arrived_s: float = 0.0
    ended: bool = False

    def __post_init__(self) -> None:
        self.tokens = list(self.prompt)

    @property
    def generated(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - len(self.prompt)

    @property
    def drawing(self) -> bool:
        """Whether the next step computes the token that it drew last, and draws the next."""
        return 0 < self.given <= self.computed and self.generated + self.pending < self.max_tokens

    @property
    def needs_block(self) -> bool:
        """Whether its next token lies behind its last block."""
        return self.computed == len(self.blocks) * BLOCK_TOKENS
