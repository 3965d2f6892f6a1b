"""Whether independent clients agree with our load on one reference server: medians of TTFT and ITL at one rate.

    python -m benchmarks.agreement [--rate 7.3] [--requests 300] [--rounds 3] [--json FILE]

One reference server on the CPU with a step of 20 ms, the clients of `benchmarks/peer_clients.py` in turns, the same
lengths and constant gaps for each. The rate is no multiple of the step's, so that arrivals meet every phase of it.
Takes some eight minutes, and some more the first time.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.peer_clients import CLIENTS, Asked, Reported
from benchmarks.replica import replica
from loadtests.endpoint import Endpoint, first_model

SERVER = {"DS_MIN_STEP_SECONDS": "0.02", "DS_TORCH_THREADS": "1"}
NAMES = ("aftershock", "guidellm", "aiperf")
FIGURES = ("ttft_p50_ms", "itl_p50_ms", "gap_p50_ms", "e2e_p50_ms")
HEADS = ("client", "requests", "TTFT p50 ms", "ITL p50 ms", "gap p50 ms", "e2e p50 ms")


def medians(rounds: Sequence[Reported]) -> dict[str, float | None]:
    """Of what one client reported in each round; None where it does not say it."""
    found: dict[str, float | None] = {}
    for figure in FIGURES:
        values = [value for each in rounds if (value := getattr(each, figure)) is not None]
        found[figure] = statistics.median(values) if values else None
    return found


def line(client: str, rounds: Sequence[Reported], ours: dict[str, float | None]) -> str:
    """One row of the table: medians over the rounds, and how far they are from ours."""
    cells = [client, "+".join(str(each.requests) for each in rounds)]
    for figure, value in medians(rounds).items():
        reference = ours[figure]
        if value is None:
            cells.append("-")
        elif reference is None or value == reference:
            cells.append(f"{value:.2f}")
        else:
            cells.append(f"{value:.2f} ({value / reference - 1:+.1%})")
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=7.3)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    every: dict[str, list[Reported]] = {}
    with replica(SERVER) as server:
        asked = Asked(
            server.url, first_model(Endpoint.parse(server.url)), options.rate, options.requests, 64, 32
        )
        for _ in range(options.rounds):
            for name in NAMES:
                with tempfile.TemporaryDirectory() as folder:
                    for found in CLIENTS[name](asked, Path(folder)):
                        every.setdefault(found.client, []).append(found)
                        print(f"  {found}", file=sys.stderr, flush=True)
    print("| " + " | ".join(HEADS) + " |")
    print("|---" + "|---:" * (len(HEADS) - 1) + "|")
    # Others count from when they send: their reference is our figure that does the same.
    ours = medians(next(rounds for client, rounds in every.items() if client.endswith("dispatch")))
    for client, rounds in every.items():
        print(line(client, rounds, ours))
    if options.json:
        said = {client: [asdict(each) for each in rounds] for client, rounds in every.items()}
        options.json.write_text(json.dumps(said, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
