"""What is served, decided before torch is imported: name, shape, weights, and which tokens may be drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reference_server.config import Settings
from reference_server.errors import ConfigError
from reference_server.models.folder import weights_file
from reference_server.models.shapes import DEFAULT_SHAPE, Shape, named_shape, read_shape
from reference_server.models.tokenizer import ANY_BYTE, PRINTABLE, ByteTokenizer, Tokenizer, read_tokenizer
from reference_server.settings.setting import PATH


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model under one name."""

    name: str
    shape: Shape
    longest: int
    """Tokens of prompt and answer together."""
    weights: Path | None
    """A safetensors file, or the index of several; None for seeded random weights."""
    alphabet: Sequence[int]
    """Tokens that may be drawn besides EOS, in order."""
    tokenizer: Tokenizer = field(default_factory=ByteTokenizer)
    drawable: frozenset[int] = field(init=False, repr=False)
    """The alphabet, to look one token up."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "drawable", frozenset(self.alphabet))


def served_model(settings: Settings) -> ServedModel:
    """The model that the settings name.

    Raises:
        ConfigError: the path or the name leads to no model that can be served.
    """
    path = settings.model_path
    if path is not None and not path.exists():
        raise ConfigError(f"DS_MODEL_PATH: {PATH.expected} is expected, not {str(path)!r}")
    weights: Path | None = path
    tokenizer: Tokenizer = ByteTokenizer()
    alphabet: Sequence[int] = ANY_BYTE
    if path is not None and path.is_dir():
        name = settings.model_name or path.resolve().name
        shape, weights, tokenizer = read_shape(path), weights_file(path), read_tokenizer(path)
        if not isinstance(tokenizer, ByteTokenizer):
            alphabet = [token for token in range(shape.vocabulary) if token not in shape.eos]
    else:
        name = settings.model_name or DEFAULT_SHAPE
        shape = named_shape(name)
        if path is None:
            # Without EOS among the tokens that random weights may draw, an answer is as long as was asked for.
            shape, alphabet = replace(shape, eos=()), PRINTABLE
    longest = min(shape.max_context, settings.max_context, settings.kv_tokens or settings.max_context)
    return ServedModel(name, shape, longest, weights, alphabet, tokenizer)
