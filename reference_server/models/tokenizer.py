"""From text to tokens and back, in two ways: bytes themselves, or the tokenizer of a Hugging Face folder.

Either knows a token as bytes of UTF-8 without its neighbours, so that text can be streamed token by token; of a
character, one token may be a part. Models with random weights draw from printable ASCII alone, so that every token is
visible text at once and a client that counts events counts tokens. Trained ones draw from their whole vocabulary: a
token that does not complete a character yields no text until the one that does.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference_server.errors import ConfigError
from reference_server.models.folder import TEMPLATE_FILE, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE, read_object

if TYPE_CHECKING:
    import tokenizers

BYTES = 256
EOS = 256
VOCABULARY = 288

PRINTABLE = tuple(range(0x20, 0x7F))
ANY_BYTE = tuple(range(BYTES))


class ByteTokenizer:
    """Token i is byte i; EOS follows, and the vocabulary is padded to a round width."""

    size = BYTES
    """A prompt's tokens are 0 to size - 1."""

    @staticmethod
    def encode(text: str) -> list[int]:
        """The UTF-8 bytes of the text; a lone surrogate becomes a question mark."""
        return list(text.encode("utf-8", errors="replace"))

    @classmethod
    def chat(cls, messages: Iterable[tuple[str, str]]) -> list[int]:
        """The prompt that a chat of (role, content) becomes: the bytes of `chat_prompt`."""
        return cls.encode(chat_prompt(messages))

    @staticmethod
    def to_bytes(token: int) -> bytes:
        """That byte; nothing for a special."""
        return bytes((token,)) if token < BYTES else b""


class BpeTokenizer:
    """`tokenizer.json` of a folder: byte-level BPE as in Llama 3 and SmolLM2, and the folder's chat template.

    Token pieces are written in GPT-2's alphabet, in which every byte is a printable character; a token is therefore
    known as bytes without its neighbours. Without a chat template, chats are laid out as for byte-level models.

    Raises:
        ConfigError: the library `tokenizers` is missing, or a file is not what it should be.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer = _read_tokenizer(folder / TOKENIZER_FILE)
        self._added = self._tokenizer.get_added_tokens_decoder()
        self._bytes = byte_alphabet()
        config_file = folder / TOKENIZER_CONFIG_FILE
        config = read_object(config_file, optional=True)
        self._specials = {key: _content(config.get(key)) for key in ("bos_token", "eos_token")}
        template = folder / TEMPLATE_FILE
        self._template = template.read_text() if template.exists() else config.get("chat_template")
        if not isinstance(self._template, str | None):
            raise ConfigError(
                f"{config_file}: chat_template: one template is expected, not {type(self._template).__name__}"
            )

    @property
    def size(self) -> int:
        """Tokens of the vocabulary, added ones included."""
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """The tokens of a text; a lone surrogate becomes a question mark."""
        text = text.encode("utf-8", errors="replace").decode()
        return self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids

    def chat(self, messages: Iterable[tuple[str, str]]) -> list[int]:
        """The tokens of the folder's template, which writes special tokens itself.

        Raises:
            ValueError: the template does not take these messages; the text says why.
        """
        if self._template is None:
            return self.encode(chat_prompt(messages))
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        def refuse(reason: str) -> None:
            raise TemplateError(reason)

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        turns = [{"role": role, "content": content} for role, content in messages]
        known = {"messages": turns, "add_generation_prompt": True, "raise_exception": refuse}
        try:
            text = environment.from_string(self._template).render(known | self._specials)
        except TemplateError as error:
            raise ValueError(f"the model's chat template refuses them: {error}") from None
        return self.encode(text, add_special_tokens=False)

    def to_bytes(self, token: int) -> bytes:
        """The token's bytes; nothing for a special one, or one that pads the vocabulary."""
        if token in self._added:
            added = self._added[token]
            return b"" if added.special else added.content.encode()
        return bytes(self._bytes[character] for character in self._tokenizer.id_to_token(token) or "")


Tokenizer = ByteTokenizer | BpeTokenizer


def read_tokenizer(folder: Path) -> Tokenizer:
    """The folder's own tokenizer; one that brings none is byte-level.

    Raises:
        ConfigError: it brings one in another form than `tokenizer.json`, or one that cannot be used.
    """
    if (folder / TOKENIZER_FILE).exists():
        return BpeTokenizer(folder)
    if (folder / "tokenizer.model").exists():
        raise ConfigError(f"{folder}: {TOKENIZER_FILE} is expected beside tokenizer.model")
    return ByteTokenizer()


def chat_prompt(messages: Iterable[tuple[str, str]]) -> str:
    """The template: one line per (role, content), and the line on which the assistant continues."""
    return "".join(f"{role}: {content}\n" for role, content in messages) + "assistant: "


def byte_alphabet() -> dict[str, int]:
    """The byte of each of GPT-2's characters: itself where it is printable, else one from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


def _read_tokenizer(path: Path) -> "tokenizers.Tokenizer":
    try:
        import tokenizers
    except ImportError:
        raise ConfigError(f"{path}: the library `tokenizers` is expected: pip install tokenizers") from None
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError(f"{path}: a tokenizer file is expected: {error}") from error
    kind = type(tokenizer.decoder).__name__
    if kind != "ByteLevel":
        raise ConfigError(f"{path}: decoder: 'ByteLevel' is expected, not {kind!r}")
    return tokenizer


def _content(token: Any) -> str:
    """A special token, written as its text or as an object that holds it."""
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")
