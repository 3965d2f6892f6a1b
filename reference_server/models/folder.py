"""A model folder in Hugging Face's layout: what its files are called, and those of them that are JSON objects."""

import json
from pathlib import Path
from typing import Any

from reference_server.errors import ConfigError

CONFIG_FILE = "config.json"
GENERATION_FILE = "generation_config.json"
TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
TEMPLATE_FILE = "chat_template.jinja"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"


def weights_file(folder: Path) -> Path:
    """The index of a folder's safetensors files where it has one, else its one file."""
    index = folder / INDEX_FILE
    return index if index.exists() else folder / WEIGHTS_FILE


def read_object(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """The JSON object in a file; an empty one where an optional file is missing.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    if optional and not path.exists():
        return {}
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: a readable JSON file is expected: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: a JSON object is expected, not {type(found).__name__}")
    return found
