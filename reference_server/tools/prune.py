"""`prune`: the least of a folder's weights become zeros, in steps that each go on from the one before.

The projections of the layers are pruned, embedding, head and norms are not. Zeros cost as much time and memory as
other numbers here: what this shows is how a model degrades.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from reference_server.errors import ConfigError
from reference_server.models.shapes import Shape
from reference_server.models.tokenizer import read_tokenizer
from reference_server.models.weights import tensor_sizes
from reference_server.tools.folders import derive_folder, read_float_folder
from reference_server.tools.forward import WholeText

SCORES = ("magnitude", "wanda")


def main(argv: Sequence[str]) -> None:
    """Run the verb."""
    parser = argparse.ArgumentParser(
        prog="python -m reference_server prune",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="a model folder, not in 8 bits")
    parser.add_argument(
        "--out", type=Path, required=True, help="gets one folder per step: sparsity-0.10, ..."
    )
    parser.add_argument("--sparsity", default="0.1,0.2,0.3", help="shares of zeros, rising")
    parser.add_argument("--score", choices=SCORES, default="magnitude", help="what makes a weight little")
    parser.add_argument("--text", type=Path, help="what wanda measures activations on")
    parser.add_argument("--tokens", type=int, default=2048, help="how much of it")
    parser.add_argument("--window", type=int, default=512, help="tokens computed at once")
    arguments = parser.parse_args(argv)
    steps = read_sparsities(arguments.sparsity)
    shape, dense = read_float_folder(arguments.folder)
    windows: list[Tensor] = []
    if arguments.score == "wanda":
        if arguments.text is None:
            raise ConfigError("--text: a file is expected with --score wanda")
        tokens = torch.tensor(read_tokenizer(arguments.folder).encode(arguments.text.read_text()))
        windows = list(tokens[: arguments.tokens].split(arguments.window))  # type: ignore[no-untyped-call]
    for sparsity, pruned in zip(steps, prune(shape, dense, steps, windows), strict=True):
        target = arguments.out / f"sparsity-{sparsity:.2f}"
        derive_folder(arguments.folder, target, pruned)
        print(f"{target}: {zeros(shape, pruned):.4f} of the projections are zeros")


def read_sparsities(text: str) -> list[float]:
    """Shares of zeros from `0.1,0.2,0.3`.

    Raises:
        ConfigError: they are not rising numbers between 0 and 1.
    """
    try:
        steps = [float(part) for part in text.split(",")]
    except ValueError:
        steps = []
    if not steps or steps != sorted(set(steps)) or not 0 < steps[0] <= steps[-1] < 1:
        raise ConfigError(f"--sparsity: rising numbers between 0 and 1 are expected, not {text!r}")
    return steps


def prune(
    shape: Shape, weights: Mapping[str, Tensor], steps: Sequence[float], windows: Sequence[Tensor]
) -> Iterator[dict[str, Tensor]]:
    """The weights after each step.

    Without windows of text, the least magnitudes of each matrix go. With them it is Wanda (arXiv 2306.11695): the
    least |weight| * |its input's activations| of each output, measured anew on the model as the step finds it.
    """
    current = dict(weights)
    for sparsity in steps:
        norms = activation_norms(shape, current, windows) if windows else {}
        for name in projections(shape):
            magnitude = current[name].float().abs()
            scores = magnitude * norms[name] if windows else magnitude.view(1, -1)
            count = round(sparsity * scores.shape[1])
            least = scores.topk(count, dim=1, largest=False, sorted=False).indices
            mask = torch.ones_like(scores, dtype=torch.bool).scatter_(1, least, value=False)
            current[name] = current[name] * mask.view_as(current[name])
        yield dict(current)


def activation_norms(
    shape: Shape, weights: Mapping[str, Tensor], windows: Sequence[Tensor]
) -> dict[str, Tensor]:
    """By projection, the length of each of its inputs over all tokens."""
    squares: dict[str, Tensor] = {}

    def watch(name: str, rows: Tensor) -> None:
        squares[name] = squares.get(name, torch.zeros(rows.shape[1])) + rows.square().sum(dim=0)

    model = WholeText(shape, weights)
    for window in windows:
        model.logits(window, watch)
    return {name: square.sqrt() for name, square in squares.items()}


def projections(shape: Shape) -> list[str]:
    """Names of what is pruned."""
    return [name for name in tensor_sizes(shape) if name.endswith("_proj.weight")]


def zeros(shape: Shape, weights: Mapping[str, Tensor]) -> float:
    """The share of zeros in what is pruned."""
    matrices = [weights[name] for name in projections(shape)]
    return sum(int((matrix == 0).sum()) for matrix in matrices) / sum(matrix.numel() for matrix in matrices)
