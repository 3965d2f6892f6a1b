"""The reference server beside vLLM on CPUs: the same weights, the same client, the same machine, in turns.

    python -m benchmarks.vllm_setup DIR                      once
    python -m benchmarks.peer_vllm --vllm DIR [--rounds 3] [--out peer.json] [--only speed|recovery]

Speed: cold start to first token, memory, and tokens per second of 1, 8 and 32 clients; medians over the rounds, which
alternate. Recovery: `chaos/experiments/vllm-kill.yaml`, then the same load and kill with reference servers as replicas.
About 5 minutes a round and 11 for the recovery, on two processors with nothing else to do. Both servers run with
their own defaults, float32 apart.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from benchmarks.peer_servers import Measured, measure, reference_server, vllm

CLIENTS = (1, 8, 32)
EXPERIMENT = Path(__file__).parent.parent / "chaos" / "experiments" / "vllm-kill.yaml"
OURS, THEIRS = "reference", "vllm"
_ROW = "{:34} {:>16} {:>12} {:>9}"


def speed(folder: Path, rounds: int, tokens: int, log: Path) -> dict[str, list[Measured]]:
    """Every round of both, in turns: whoever goes first changes."""
    servers = {OURS: reference_server(folder), THEIRS: vllm(folder)}
    found: dict[str, list[Measured]] = {name: [] for name in servers}
    for number in range(rounds):
        for name in list(servers)[:: 1 if number % 2 == 0 else -1]:
            measured = measure(servers[name], CLIENTS, tokens, log)
            found[name].append(measured)
            print(f"round {number + 1}, {name}: {asdict(measured)}", file=sys.stderr, flush=True)
    return found


def recovery(folder: Path, out: Path) -> dict[str, dict[str, Any]]:
    """What `aftershock run` says of both, the last word of each run on stderr."""
    ours = out / "reference-kill.yaml"
    ours.write_text(yaml.safe_dump(_with_reference_servers(folder)))
    return {name: _journal(path, out / name, folder) for name, path in ((THEIRS, EXPERIMENT), (OURS, ours))}


def _with_reference_servers(folder: Path) -> dict[str, Any]:
    """The same experiment but for the replicas, and for how long one waits for them."""
    spec: dict[str, Any] = yaml.safe_load(EXPERIMENT.read_text())
    local = spec["target"]["local"]
    for key in ("command", "probes", "ready_within"):
        del local[key]
    local["env"] = {"DS_MODEL_PATH": str(folder / "reference-model"), "DS_TORCH_THREADS": "1"}
    spec["experiment"] = "reference-kill"
    spec["fault"]["manifest"] = str((EXPERIMENT.parent / spec["fault"]["manifest"]).resolve())
    spec["recovery"]["within"] = "60s"
    spec["phases"]["observe"] = "80s"
    return spec


def _journal(experiment: Path, out: Path, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "chaos", "run", str(experiment), "--out", str(out)]
    env = {**os.environ, "AFTERSHOCK_VLLM": str(folder)}
    ended = subprocess.run(command, stdout=sys.stderr, env=env, check=False)
    if not (out / "journal.json").is_file():
        raise RuntimeError(f"{experiment} left no journal, exit code {ended.returncode}; see {out}")
    journal: dict[str, Any] = json.loads((out / "journal.json").read_text())
    return journal


def speed_rows(found: dict[str, list[Measured]]) -> list[tuple[str, float, float]]:
    """Medians: what, ours, theirs."""
    figures: dict[str, Callable[[Measured], float]] = {
        "cold start to first token, s": lambda one: one.first_token_s,
        "memory, MiB": lambda one: one.memory_mib,
    }
    for count in CLIENTS:
        figures[f"tokens/s, {count} at once"] = lambda one, count=count: one.tokens_per_s[count]  # type: ignore[misc]
    return [
        (what, *(statistics.median(map(figure, found[name])) for name in (OURS, THEIRS)))  # type: ignore[misc]
        for what, figure in figures.items()
    ]


def recovery_rows(journals: dict[str, dict[str, Any]]) -> list[tuple[str, Any, Any]]:
    """What came of the kill: what, ours, theirs."""
    return [
        (what, *(journals[name]["recovery"][key] for name in (OURS, THEIRS)))
        for what, key in (
            ("service recovered after the kill, s", "service_s"),
            ("capacity recovered after, s", "capacity_s"),
            ("requests lost", "lost_requests"),
        )
    ]


def show(rows: Sequence[tuple[str, Any, Any]]) -> None:
    """One line each; the ratio is ours to theirs."""
    print(_ROW.format("", "reference server", "vLLM", "ratio"))
    for what, ours, theirs in rows:
        both = isinstance(ours, int | float) and isinstance(theirs, int | float) and theirs
        ratio = f"{ours / theirs:.2f}" if both else "-"
        print(
            _ROW.format(
                what, *(f"{n:.1f}" if isinstance(n, float) else str(n) for n in (ours, theirs)), ratio
            )
        )


def main() -> int:
    """Measure, print the table, and keep every round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vllm", type=Path, required=True, metavar="DIR", help="what vllm_setup made")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64, help="length of every answer")
    parser.add_argument("--only", choices=("speed", "recovery"))
    parser.add_argument("--out", type=Path, help="all figures, as JSON")
    options = parser.parse_args()
    folder, kept, rows = options.vllm.absolute(), {}, []
    with tempfile.TemporaryDirectory(prefix="peer-") as scratch:
        if options.only != "recovery":
            found = speed(folder, options.rounds, options.tokens, Path(scratch) / "servers.log")
            kept["speed"] = {name: [asdict(one) for one in each] for name, each in found.items()}
            rows += speed_rows(found)
        if options.only != "speed":
            journals = recovery(folder, Path(scratch))
            kept["recovery"] = {
                name: each["recovery"] | {"verdict": each["verdict"]} for name, each in journals.items()
            }
            rows += recovery_rows(journals)
    show(rows)
    if options.out:
        options.out.write_text(json.dumps(kept, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
