"""Canaries: prompts whose right answer is known, or is what the healthy service says, among the requests of a plan.

Every so many requests one is a canary in place of its own prompt. It is asked without randomness, so that equal weights
give equal words; what its row keeps of the answer is a digest.
"""

import hashlib
from typing import Annotated, Any

import msgspec
from pydantic import Field

from loadtests.declared import Count, Declared
from loadtests.sse import ServerEvent

RIGHT, WRONG = "right", "wrong"
GREEDY = {"temperature": 0}
"""What makes an answer repeatable."""


class Canary(Declared):
    """One prompt."""

    prompt: Annotated[str, Field(min_length=1)]
    """what is asked"""
    answer: Annotated[str, Field(min_length=1)] | None = None
    """the whole right answer; absent: what most answers of the baseline say"""


class Canaries(Declared):
    """Prompts that are asked again and again."""

    every: Count = 10
    """one in so many requests is a canary"""
    prompts: Annotated[tuple[Canary, ...], Field(strict=False, min_length=1)]
    """what is asked, in turn"""

    def number_of(self, index: int) -> int | None:
        """Which of the prompts this arrival of the plan has; None for one that has its own."""
        return None if index % self.every else index // self.every % len(self.prompts)

    def kept_of(self, number: int, text: str) -> str:
        """What a row keeps of an answer: the number of its prompt, and a digest or whether it is right."""
        right = self.prompts[number].answer
        if right is not None:
            return f"{number}:{RIGHT if text == right else WRONG}"
        return f"{number}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def text_of(event: ServerEvent) -> str:
    """What an event of a stream says to a user; empty where it says nothing, or is of another shape."""
    try:
        body: Any = msgspec.json.decode(event.data)
        choice = body["choices"][0]
        delta = choice.get("delta") or choice.get("message") or {}
        return str(choice.get("text") or delta.get("content") or "")
    except (msgspec.MsgspecError, LookupError, TypeError, AttributeError):
        return ""
