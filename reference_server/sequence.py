"""One request as the engine sees it, and what the engine says about it after a step."""

from collections.abc import Callable
from dataclasses import dataclass, field

from reference_server.instrumentation import RequestEvents, Uninstrumented
from reference_server.sampler import Sampling
from reference_server.text_stream import TextStream


@dataclass(frozen=True, slots=True)
class Output:
    """One generated token's worth of answer."""

    text: str = ""
    """Empty while characters are held back."""
    finish_reason: str | None = None
    """`stop` or `length` with the last token."""


@dataclass(slots=True, eq=False)
class Sequence:
    """A request being answered; the engine's thread alone writes what is below the line."""

    prompt: list[int]
    max_tokens: int
    sampling: Sampling
    text: TextStream = field(default_factory=TextStream)
    ignore_eos: bool = False
    salt: str = ""
    """Prefixes are shared only between sequences of equal salt."""
    events: RequestEvents = field(default_factory=Uninstrumented)
    receive: Callable[[Output], None] = lambda _: None
    """Called on the receiving side's thread, once per output."""

    tokens: list[int] = field(init=False)
    """Prompt and answer so far."""
    computed: int = 0
    """How many of the tokens have keys and values in the slot."""
    cached: int = 0
    """How many of these came out of the prefix cache."""
    slot: int = -1

    def __post_init__(self) -> None:
        self.tokens = list(self.prompt)

    @property
    def generated(self) -> int:
        """Tokens of the answer so far."""
        return len(self.tokens) - len(self.prompt)

    @property
    def reserved(self) -> int:
        """KV cache positions it may need at most."""
        return len(self.prompt) + self.max_tokens
