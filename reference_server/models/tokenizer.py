"""What the server asks of a tokenizer, and the byte-level one: token i is byte i, EOS follows, padded to a round width.

Models with random weights draw from printable ASCII alone, so that every token is visible text at once and a
client that counts events counts tokens. Trained ones draw from their whole vocabulary: a token that does not
complete a character yields no text until the one that does.
"""

from collections.abc import Iterable
from typing import Protocol

BYTES = 256
EOS = 256
VOCABULARY = 288

PRINTABLE = tuple(range(0x20, 0x7F))
ANY_BYTE = tuple(range(BYTES))


class Tokenizer(Protocol):
    """Text to tokens, and tokens to bytes of UTF-8, of which a character may need several."""

    @property
    def size(self) -> int:
        """A prompt's tokens are 0 to size - 1."""
        ...

    def encode(self, text: str) -> list[int]:
        """The tokens of a prompt, with those that a model expects before any text."""
        ...

    def chat(self, messages: Iterable[tuple[str, str]]) -> list[int]:
        """The prompt that a chat of (role, content) becomes.

        Raises:
            ValueError: the model's template does not take these messages; the text says why.
        """
        ...

    def to_bytes(self, token: int) -> bytes:
        """The bytes that a token adds to the text; nothing for a special one."""
        ...


class ByteTokenizer:
    """One token per byte."""

    size = BYTES

    @staticmethod
    def encode(text: str) -> list[int]:
        """The UTF-8 bytes of the text; a lone surrogate becomes a question mark."""
        return list(text.encode("utf-8", errors="replace"))

    @classmethod
    def chat(cls, messages: Iterable[tuple[str, str]]) -> list[int]:
        """The bytes of `chat_prompt`."""
        return cls.encode(chat_prompt(messages))

    @staticmethod
    def to_bytes(token: int) -> bytes:
        """That byte; nothing for a special."""
        return bytes((token,)) if token < BYTES else b""


def chat_prompt(messages: Iterable[tuple[str, str]]) -> str:
    """The template: one line per (role, content), and the line on which the assistant continues."""
    return "".join(f"{role}: {content}\n" for role, content in messages) + "assistant: "
