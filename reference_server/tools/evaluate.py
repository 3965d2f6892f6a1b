"""`evaluate`: how well a folder predicts a text, how large it is and how fast, alone or beside another folder.

The text is cut into windows that overlap by window - stride tokens; each token but the first is predicted once, in
the first window that has it, from what stands before it there.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reference_server.errors import ConfigError
from reference_server.models.tokenizer import read_tokenizer
from reference_server.tools.folders import read_folder, weights_bytes
from reference_server.tools.forward import WholeText


def main(argv: Sequence[str]) -> None:
    """Run the verb."""
    parser = argparse.ArgumentParser(
        prog="python -m reference_server evaluate",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="a model folder")
    parser.add_argument("--against", type=Path, help="another, with the same tokenizer")
    parser.add_argument("--text", type=Path, required=True, help="a text file")
    parser.add_argument("--tokens", type=int, default=4096, help="how much of it")
    parser.add_argument("--window", type=int, default=512, help="tokens computed at once")
    parser.add_argument("--stride", type=int, default=256, help="tokens predicted anew")
    parser.add_argument("--threads", type=int, default=1, help="of one operation")
    arguments = parser.parse_args(argv)
    if not 1 <= arguments.stride < arguments.window:
        raise ConfigError(f"--stride: 1 to {arguments.window - 1} is expected, not {arguments.stride}")
    torch.set_num_threads(arguments.threads)
    tokens = read_tokenizer(arguments.folder).encode(arguments.text.read_text())[: arguments.tokens]
    if len(tokens) < 2:
        raise ConfigError(f"--text: at least two tokens are expected, not {len(tokens)}")
    parts = list(windows(len(tokens), arguments.window, arguments.stride))
    report: dict[str, Any] = {"tokens": len(tokens), "window": arguments.window, "stride": arguments.stride}
    report |= evaluate(torch.tensor(tokens), parts, arguments.folder, arguments.against)
    print(json.dumps(report, indent=2))


def windows(tokens: int, window: int, stride: int) -> Iterator[tuple[slice, int]]:
    """Parts of a text, and how many of the last tokens of each are predicted there; all but the first are, once."""
    end = min(window, tokens)
    yield slice(0, end), end - 1
    while end < tokens:
        begun, end = end, min(end + stride, tokens)
        yield slice(end - window, end), end - begun


def evaluate(
    tokens: Tensor, parts: Sequence[tuple[slice, int]], folder: Path, against: Path | None = None
) -> dict[str, Any]:
    """What `main` prints of one folder, or of two and their difference."""
    scores = [Score(path) for path in (folder, against) if path is not None]
    divergence, same, count = 0.0, 0, 0
    for part, scored in parts:
        mine, *others = (score.predict(tokens[part], scored) for score in scores)
        count += scored
        for theirs in others:
            divergence += float((theirs.exp() * (theirs - mine)).double().sum())
            same += int((mine.argmax(dim=-1) == theirs.argmax(dim=-1)).sum())
    first, *rest = found = [score.evaluation() for score in scores]
    report: dict[str, Any] = {"evaluations": found}
    for other in rest:
        report["difference"] = {
            # Ratios - 1: a perplexity of 0.003 is 0.3 % worse.
            "perplexity": first["perplexity"] / other["perplexity"] - 1,
            "disk": first["disk_bytes"] / other["disk_bytes"] - 1,
            "memory": first["memory_bytes"] / other["memory_bytes"] - 1,
            # Mean Kullback-Leibler divergence of the first one's predictions from the other's, in nats per token.
            "divergence": divergence / count,
            "same_first_choice": same / count,
        }
    return report


class Score:
    """A folder's predictions of a text, added up window by window."""

    def __init__(self, folder: Path) -> None:
        shape, weights = read_folder(folder)
        self._folder = folder
        self._model = WholeText(shape, weights)
        self._loss, self._predictions, self._computed, self._seconds = 0.0, 0, 0, 0.0

    def predict(self, tokens: Tensor, scored: int) -> Tensor:
        """Log probabilities of the last `scored` tokens' places, (scored, vocabulary)."""
        began_s = time.perf_counter()
        logits = self._model.logits(tokens)
        self._seconds += time.perf_counter() - began_s
        predicted = logits[-scored - 1 : -1].log_softmax(dim=-1)
        self._loss -= float(predicted.gather(1, tokens[-scored:].unsqueeze(1)).double().sum())
        self._computed += len(tokens)
        self._predictions += scored
        return predicted

    def evaluation(self) -> dict[str, Any]:
        """So far; tokens per second are those computed, whole windows at a time."""
        return {
            "folder": self._folder.name,
            "predictions": self._predictions,
            "perplexity": math.exp(self._loss / self._predictions),
            "disk_bytes": weights_bytes(self._folder),
            "memory_bytes": self._model.memory_bytes(),
            "tokens_per_s": self._computed / self._seconds,
        }
