"""What is served, decided before torch is imported: name, shape, weights, and which tokens may be drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reference_server.config import PATH, Settings
from reference_server.errors import ConfigError
from reference_server.models.bpe_tokenizer import TOKENIZER_FILE, BpeTokenizer
from reference_server.models.shapes import DEFAULT_SHAPE, Shape, named_shape, read_shape
from reference_server.models.tokenizer import ANY_BYTE, PRINTABLE, ByteTokenizer, Tokenizer

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"


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


def served_model(settings: Settings) -> ServedModel:
    """The model that the settings name.

    Raises:
        ConfigError: the path or the name leads to no model that can be served.
    """
    path, name = settings.model_path, settings.model_name

    def served(name: str, shape: Shape, weights: Path | None, alphabet: Sequence[int]) -> ServedModel:
        longest = min(shape.max_context, settings.max_context, settings.kv_tokens or settings.max_context)
        return ServedModel(name, shape, longest, weights, alphabet)

    if path is None:
        shape_name = name or DEFAULT_SHAPE
        # Without EOS among the tokens that random weights may draw, an answer is as long as was asked for.
        shape = replace(named_shape(shape_name), eos=())
        return served(shape_name, shape, None, PRINTABLE)
    if not path.exists():
        raise ConfigError(f"DS_MODEL_PATH: {PATH.expected} is expected, not {str(path)!r}")
    if path.is_dir():
        shape = read_shape(path / CONFIG_FILE)
        name = name or path.resolve().name
        if not has_tokenizer(path):
            return served(name, shape, weights_file(path), ANY_BYTE)
        drawable = [token for token in range(shape.vocabulary) if token not in shape.eos]
        return replace(served(name, shape, weights_file(path), drawable), tokenizer=BpeTokenizer(path))
    shape_name = name or DEFAULT_SHAPE
    return served(shape_name, named_shape(shape_name), path, ANY_BYTE)


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder brings a tokenizer; one that does not is byte-level.

    Raises:
        ConfigError: it brings one in another form than `tokenizer.json`.
    """
    if (folder / TOKENIZER_FILE).exists():
        return True
    if (folder / "tokenizer.model").exists():
        raise ConfigError(f"{folder}: {TOKENIZER_FILE} is expected beside tokenizer.model")
    return False


def weights_file(folder: Path) -> Path:
    """The index of a folder's safetensors files where it has one, else its one file."""
    index = folder / INDEX_FILE
    return index if index.exists() else folder / WEIGHTS_FILE
