"""One server that stands still for 2 s in the middle, seen by four clients: what each reports as its P99.

    python -m benchmarks.side_by_side [--rate 100] [--requests 3000] [--freeze 2] [--client NAME ...] [--json FILE]

The server (`tests/support/plain_server.py`) answers 16 tokens, 5 ms apart; it is stopped once half of the requests were
asked. Every client is to ask at the same constant rate; the closed loop has as many users as come to it. Takes some
four minutes, and some more the first time (`benchmarks/peer_clients.py`).
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.peer_clients import CLIENTS, Asked, Reported, wait_for_half
from tests.support.plain_server import plain_server

GAP_MS = 5.0
TOKENS = 16
HEADS = ("client", "requests", "TTFT p50 ms", "TTFT p99 ms", "e2e p50 ms", "e2e p99 ms", "e2e max ms")


def freeze(pid: int, asked: Asked, freeze_s: float) -> None:
    """Stop the server for that long once half of the requests were asked."""
    wait_for_half(asked)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(freeze_s)
    os.kill(pid, signal.SIGCONT)


def seen_by(name: str, options: argparse.Namespace) -> list[Reported]:
    """What one client reports of a server of its own."""
    with plain_server(GAP_MS) as (url, pid), tempfile.TemporaryDirectory() as folder:
        asked = Asked(url, "plain", options.rate, options.requests, 64, TOKENS)
        freezing = threading.Thread(target=freeze, args=(pid, asked, options.freeze), daemon=True)
        freezing.start()
        found = CLIENTS[name](asked, Path(folder))
        freezing.join()
    return found


def line(found: Reported) -> str:
    """One row of the table."""
    values = (found.ttft_p50_ms, found.ttft_p99_ms, found.e2e_p50_ms, found.e2e_p99_ms, found.e2e_max_ms)
    cells = ("-" if value is None else f"{value:,.0f}" for value in values)
    return "| " + " | ".join([found.client, f"{found.requests:,}", *cells]) + " |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--freeze", type=float, default=2.0)
    parser.add_argument("--client", action="append", choices=CLIENTS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print("| " + " | ".join(HEADS) + " |")
    print("|---" + "|---:" * (len(HEADS) - 1) + "|")
    every = []
    for name in options.client or CLIENTS:
        for found in seen_by(name, options):
            every.append(found)
            print(line(found), flush=True)
    if options.json:
        said = {
            "rate_per_s": options.rate,
            "freeze_s": options.freeze,
            "found": [asdict(each) for each in every],
        }
        options.json.write_text(json.dumps(said, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
