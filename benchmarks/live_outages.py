"""How exactly outages of known length are told: a scripted service, real sockets, the real load, the whole analysis.

    python -m benchmarks.live_outages [--rate 200] [--lengths 0.5 1 3 10] [--kinds status-503 reset cut]
                                      [--runs DIR] [--json docs/data/live-outages.json]

For each kind one `aftershock observe`, during which the service fails for each of the lengths, far enough apart. What
is true is when the service changed its mind, on the clock of this machine; what is told is the disturbance in the
journal. Prints both, the difference, and whether the stated interval holds the truth. Exits 1 where a disturbance is
missing or invented, or an interval does not hold. Wants the machine to itself: where the service itself has to wait for
a processor, that is told as well, rightly. About 80 s a kind.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.replica import ROOT
from tests.support.scripted_server import ScriptedServer

KINDS = ("status-503", "reset", "cut")
LENGTHS_S = (0.5, 1.0, 3.0, 10.0)
QUIET_S = 8.0
"""Before, between and after outages: more than the hold that ends a disturbance."""
MOST_TO_START_S = 60.0


@dataclass(frozen=True)
class Found:
    """One outage, and what was told of it."""

    kind: str
    true_s: float
    told_s: float
    at_least_s: float
    at_most_s: float

    @property
    def held(self) -> bool:
        """Whether the stated interval holds the truth."""
        return self.at_least_s <= self.true_s <= self.at_most_s


def outages(server: ScriptedServer, kind: str, lengths_s: Sequence[float]) -> list[float]:
    """Make them, one after another; how long each really was, in seconds."""
    true_s = []
    for length_s in lengths_s:
        time.sleep(QUIET_S)
        began_s = time.monotonic()
        server.only = kind
        time.sleep(length_s)
        server.only = "ok"
        true_s.append(time.monotonic() - began_s)
    return true_s


def observe(url: str, rate: float, for_s: float, out: Path) -> "subprocess.Popen[bytes]":
    """Start it, and come back when its load has begun to be recorded."""
    numbers = [
        "--rate",
        f"{rate:g}",
        "--for",
        f"{for_s:g}s",
        "--ttft",
        "200ms",
        "--e2e",
        "1s",
        "--output-tokens",
        "2",
    ]
    running = subprocess.Popen(
        [sys.executable, "-m", "chaos", "observe", url, *numbers, "--out", str(out)], cwd=ROOT
    )
    rows, give_up_s = out / "requests.jsonl", time.monotonic() + MOST_TO_START_S
    while not (rows.is_file() and rows.stat().st_size):
        if running.poll() is not None or time.monotonic() > give_up_s:
            running.kill()
            raise SystemExit("live_outages: the load did not begin; its output is above")
        time.sleep(0.05)
    return running


def measure(kind: str, rate: float, lengths_s: Sequence[float], out: Path) -> list[Found]:
    """One run; every outage in the order in which it was made."""
    for_s = sum(lengths_s) + QUIET_S * (len(lengths_s) + 2)
    with ScriptedServer() as server:
        server.only = "ok"
        running = observe(server.url(), rate, for_s, out)
        true_s = outages(server, kind, lengths_s)
        running.wait()
    told: list[dict[str, Any]] = json.loads((out / "journal.json").read_text())["disturbances"] or []
    if len(told) != len(true_s):
        raise SystemExit(
            f"live_outages: {kind}: {len(true_s)} outages, {len(told)} disturbances told; see {out}"
        )
    return [
        Found(kind, true, one["length_s"], *map(float, one.get("length_interval_s") or (0.0, "inf")))
        for true, one in zip(true_s, told, strict=True)
    ]


def main() -> int:
    """Measure, print, and say with the exit code whether every interval held."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--lengths", type=float, nargs="+", default=LENGTHS_S, metavar="S")
    parser.add_argument("--kinds", nargs="+", default=KINDS, metavar="SCRIPT")
    parser.add_argument("--runs", type=Path, help="keep the run folders here")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        runs = asked.runs or Path(scratch)
        found = [one for kind in asked.kinds for one in measure(kind, asked.rate, asked.lengths, runs / kind)]
    print(
        "| outage | true | told | difference | interval (at least 95 %) | holds |\n|---|---|---|---|---|---|"
    )
    for one in found:
        print(
            f"| {one.kind} | {one.true_s:.3f} s | {one.told_s:.3f} s | {1000 * (one.told_s - one.true_s):+.0f} ms "
            f"| {one.at_least_s:.3f} to {one.at_most_s:.3f} s | {'yes' if one.held else 'no'} |"
        )
    if asked.json:
        asked.json.write_text(
            json.dumps({"rate": asked.rate, "outages": [asdict(one) for one in found]}, indent=1) + "\n"
        )
    return 0 if all(one.held for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
