"""`quantize`: every matrix of a folder becomes 8 bits wide, embedding and head included; norms stay as they are."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from reference_server.models.quantization import quantize
from reference_server.tools.folders import derive_folder, read_float_folder, weights_bytes


def main(argv: Sequence[str]) -> None:
    """Run the verb."""
    parser = argparse.ArgumentParser(prog="python -m reference_server quantize", description=__doc__)
    parser.add_argument("folder", type=Path, help="a model folder")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write; new or empty")
    arguments = parser.parse_args(argv)
    _, weights = read_float_folder(arguments.folder)
    smaller = {name: quantize(weight) if weight.dim() == 2 else weight for name, weight in weights.items()}
    derive_folder(arguments.folder, arguments.out, smaller, quantized=True)
    before, after = weights_bytes(arguments.folder), weights_bytes(arguments.out)
    print(f"{arguments.out}: {after:,} bytes of weights from {before:,} ({after / before - 1:+.1%})")
