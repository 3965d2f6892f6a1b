"""Model folders as the tools read and write them."""

import json
import shutil
from pathlib import Path

from torch import Tensor

from reference_server.errors import ConfigError
from reference_server.models.folder import CONFIG_FILE, INDEX_FILE, WEIGHTS_FILE, read_object, weights_file
from reference_server.models.shapes import QUANTIZATION, Shape, read_shape
from reference_server.models.weights import Weights, read_weights, write_weights


def read_folder(folder: Path) -> tuple[Shape, Weights]:
    """Shape and weights of a folder.

    Raises:
        ConfigError: it is no model folder.
    """
    shape = read_shape(folder)
    return shape, read_weights(weights_file(folder), shape)


def read_float_folder(folder: Path) -> tuple[Shape, dict[str, Tensor]]:
    """The same of a folder that is not in 8 bits yet; raises ConfigError for one that is."""
    shape, weights = read_folder(folder)
    floats = {name: weight for name, weight in weights.items() if isinstance(weight, Tensor)}
    if len(floats) < len(weights):
        raise ConfigError(f"{folder}: floating-point weights are expected, not 8-bit ones")
    return shape, floats


def refuse_taken(path: Path) -> None:
    """Raises ConfigError for a path that exists and is no empty folder: nothing is overwritten."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(f"--out: a folder that is new or empty is expected, not {str(path)!r}")


def new_folder(path: Path) -> Path:
    """That folder, made; raises ConfigError as `refuse_taken` does."""
    refuse_taken(path)
    path.mkdir(parents=True, exist_ok=True)
    return path


def derive_folder(source: Path, target: Path, weights: Weights, *, quantized: bool = False) -> None:
    """Write other weights with the source's configuration and tokenizer into a new folder."""
    new_folder(target)
    for file in [*source.glob("*.json"), *source.glob("*.jinja")]:
        if file.name != INDEX_FILE:
            shutil.copyfile(file, target / file.name)
    if quantized:
        config = read_object(source / CONFIG_FILE) | {"quantization_config": QUANTIZATION}
        (target / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    write_weights(target / WEIGHTS_FILE, weights)


def weights_bytes(folder: Path) -> int:
    """Size of the folder's weights on disk."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))
