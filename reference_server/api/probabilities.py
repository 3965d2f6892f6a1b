"""How likely tokens were that were drawn, in the two forms in which OpenAI's answers say it."""

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reference_server.shaping import TokenLogprobs


@dataclass(frozen=True, slots=True)
class Probability:
    """One token of the answer, and those that were likeliest in its place."""

    name: str
    data: bytes
    logprob: float
    offset: int
    """Characters of the answer before it."""
    top: tuple["Probability", ...] = ()


class Probabilities:
    """Those of one choice, token by token."""

    def __init__(self, to_bytes: Callable[[int], bytes]) -> None:
        self._to_bytes = to_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._offset = 0

    def next(self, told: TokenLogprobs) -> Probability:
        """Of the next token."""
        offset = self._offset
        drawn = self._of(told.token, told.logprob, offset)
        self._offset += len(self._decoder.decode(drawn.data))
        top = tuple(self._of(token, logprob, offset) for token, logprob in told.top)
        return Probability(drawn.name, drawn.data, drawn.logprob, offset, top)

    def _of(self, token: int, logprob: float, offset: int) -> Probability:
        data = self._to_bytes(token)
        return Probability(_name(token, data), data, logprob, offset)


def _name(token: int, data: bytes) -> str:
    """Its text; no two tokens of different bytes have the same."""
    if not data:
        return f"token_id:{token}"
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


def completion_logprobs(probabilities: Sequence[Probability]) -> dict[str, Any]:
    """`logprobs` of a completion: four lists of equal length."""
    return {
        "tokens": [one.name for one in probabilities],
        "token_logprobs": [one.logprob for one in probabilities],
        "top_logprobs": [
            # The token that was drawn is always among them, and may be one more than was asked for.
            {each.name: each.logprob for each in (*one.top, one)}
            for one in probabilities
        ],
        "text_offset": [one.offset for one in probabilities],
    }


def chat_logprobs(probabilities: Sequence[Probability]) -> dict[str, Any]:
    """`logprobs` of a chat's choice."""
    return {
        "content": [
            {**_entry(one), "top_logprobs": [_entry(each) for each in one.top]} for one in probabilities
        ],
        "refusal": None,
    }


def _entry(one: Probability) -> dict[str, Any]:
    return {"token": one.name, "logprob": one.logprob, "bytes": list(one.data)}
