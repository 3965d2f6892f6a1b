"""What is served, decided before torch is imported: name, shape, weights, and which tokens may be drawn."""

from dataclasses import dataclass, replace
from pathlib import Path

from reference_server.config import PATH, Settings
from reference_server.errors import ConfigError
from reference_server.shapes import DEFAULT_SHAPE, Shape, named_shape, read_shape
from reference_server.tokenizer import ANY_BYTE, PRINTABLE

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model under one name."""

    name: str
    shape: Shape
    longest: int
    """Tokens of prompt and answer together."""
    weights: Path | None
    """A safetensors file; None for seeded random weights."""
    alphabet: tuple[int, ...]
    """Tokens that may be drawn besides EOS."""


def served_model(settings: Settings) -> ServedModel:
    """The model that the settings name.

    Raises:
        ConfigError: the path or the name leads to no model that can be served.
    """
    path, name = settings.model_path, settings.model_name

    def served(name: str, shape: Shape, weights: Path | None, alphabet: tuple[int, ...]) -> ServedModel:
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
        if (path / "tokenizer.json").exists() or (path / "tokenizer.model").exists():
            raise ConfigError(
                f"DS_MODEL_PATH: a byte-level model is expected; {path} has a tokenizer of its own"
            )
        shape = read_shape(path / CONFIG_FILE)
        return served(name or path.resolve().name, shape, path / WEIGHTS_FILE, ANY_BYTE)
    shape_name = name or DEFAULT_SHAPE
    return served(shape_name, named_shape(shape_name), path, ANY_BYTE)
