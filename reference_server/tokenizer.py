"""The byte-level tokenizer: token i is byte i, EOS follows, and the vocabulary is padded to a round width.

Models with random weights draw from printable ASCII alone, so that every token is visible text at once and a
client that counts events counts tokens. Trained ones draw from all bytes and EOS: a token that does not
complete a character yields no text until the one that does.
"""

from collections.abc import Iterable

BYTES = 256
EOS = 256
VOCABULARY = 288

PRINTABLE = tuple(range(0x20, 0x7F))
ANY_BYTE = tuple(range(BYTES))


def encode(text: str) -> list[int]:
    """The UTF-8 bytes of a text, one token each; a lone surrogate becomes a question mark."""
    return list(text.encode("utf-8", errors="replace"))


def to_bytes(token: int) -> bytes:
    """The byte of a token; nothing for a special."""
    return bytes((token,)) if token < BYTES else b""


def chat_prompt(messages: Iterable[tuple[str, str]]) -> str:
    """The template: one line per (role, content), and the line on which the assistant continues."""
    return "".join(f"{role}: {content}\n" for role, content in messages) + "assistant: "
