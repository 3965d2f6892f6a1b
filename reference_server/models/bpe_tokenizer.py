"""The tokenizer of a Hugging Face folder: byte-level BPE as in Llama 3 and SmolLM2, and the folder's chat template.

Token pieces are written in GPT-2's alphabet, in which every byte is a printable character; a token is therefore
known as bytes without its neighbours, and text can be streamed token by token.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference_server.errors import ConfigError
from reference_server.models.folder import (
    TEMPLATE_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
    read_object,
)
from reference_server.models.tokenizer import ByteTokenizer, chat_prompt

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def read_tokenizer(folder: Path) -> "BpeTokenizer | ByteTokenizer":
    """The folder's own tokenizer; one that brings none is byte-level.

    Raises:
        ConfigError: it brings one in another form than `tokenizer.json`, or one that cannot be used.
    """
    if (folder / TOKENIZER_FILE).exists():
        return BpeTokenizer(folder)
    if (folder / "tokenizer.model").exists():
        raise ConfigError(f"{folder}: {TOKENIZER_FILE} is expected beside tokenizer.model")
    return ByteTokenizer()


class BpeTokenizer:
    """`tokenizer.json` of a folder. Without a chat template there, chats are laid out as for byte-level models.

    Raises:
        ConfigError: the library `tokenizers` is missing, or a file is not what it should be.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer = _read_tokenizer(folder / TOKENIZER_FILE)
        self._added = self._tokenizer.get_added_tokens_decoder()
        self._bytes = {character: byte for byte, character in byte_alphabet().items()}
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
        """The tokens of the folder's template, which writes special tokens itself."""
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


def byte_alphabet() -> dict[int, str]:
    """GPT-2's printable character for each byte: itself where it is printable, else one from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(0x100 + i) for i, byte in enumerate(others)}


def _read_tokenizer(path: Path) -> "Tokenizer":
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise ConfigError(
            f"{path}: the library `tokenizers` is expected: pip install 'aftershock[trained]'"
        ) from None
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ConfigError(f"{path}: a tokenizer file is expected: {error}") from error
    kind = type(tokenizer.decoder).__name__
    if kind != "ByteLevel":
        raise ConfigError(f"{path}: decoder: 'ByteLevel' is expected, not {kind!r}")
    return tokenizer


def _content(token: Any) -> str:
    """A special token, written as its text or as an object that holds it."""
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")
