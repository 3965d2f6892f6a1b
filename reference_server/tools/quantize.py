"""`quantize`: every matrix of a folder becomes 8 bits wide, embedding and head included; norms stay as they are."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from reference_server.errors import ConfigError
from reference_server.models.quantization import Int8Weight, quantize
from reference_server.tools.folders import derive_folder, read_folder, weights_bytes


def main(argv: Sequence[str]) -> int:
    """Run the verb."""
    parser = argparse.ArgumentParser(prog="python -m reference_server quantize", description=__doc__)
    parser.add_argument("folder", type=Path, help="a model folder")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write; new or empty")
    arguments = parser.parse_args(argv)
    quantize_folder(arguments.folder, arguments.out)
    before, after = weights_bytes(arguments.folder), weights_bytes(arguments.out)
    print(f"{arguments.out}: {after:,} bytes of weights from {before:,} ({after / before - 1:+.1%})")
    return 0


def quantize_folder(source: Path, target: Path) -> None:
    """Write the folder in 8 bits.

    Raises:
        ConfigError: the source is no model folder, or in 8 bits already.
    """
    _, weights = read_folder(source)
    if any(isinstance(weight, Int8Weight) for weight in weights.values()):
        raise ConfigError(f"{source}: floating-point weights are expected, not 8-bit ones")
    smaller: dict[str, Tensor | Int8Weight] = {
        name: quantize(weight) if isinstance(weight, Tensor) and weight.dim() == 2 else weight
        for name, weight in weights.items()
    }
    derive_folder(source, target, smaller, quantized=True)
