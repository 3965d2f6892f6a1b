"""What a plain client sees of each network fault: through the proxy, and through the kernel's own doing, where it can.

    python -m benchmarks.network_faults [--out FILE]

The client and the server are sockets and threads; the proxy between them is the local target's, under the orders that
a run would give it, both ways disturbed. Beside it the same over a network that the kernel disturbs: `tc` in a network
namespace of its own (netem, tbf), or packets that a socket filter loses. A partition is the kernel's own doing in the
proxy too: told is when data and new connections come through after its end. Takes about six minutes.
"""

import argparse
import json
import platform
import socket
import statistics
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chaos.targets.effects import Bucket, Traffic
from tests.support.disturbed_network import Proxy, proxied
from tests.support.kernel_network import really
from tests.support.plain_client import ANSWER, HOST, QUESTION, LostPackets, Seen, Work, see, server


@dataclass(frozen=True, slots=True)
class Case:
    """One fault as it is asked for, and the same for the kernel."""

    name: str
    expected: str
    """What arithmetic says of an exchange over an open connection."""
    traffic: Traffic | None
    fidelity: str
    queue: str = ""
    """For `tc`."""
    lost: float = 0.0
    """For a socket filter."""
    bulk_bytes: int = 0


CASES = (
    Case("none", "nothing", None, "-"),
    Case("delay 50 ms", "100 ms", Traffic(delay_s=0.05), "modelled", "netem delay 50ms"),
    Case(
        "delay 50 ms, jitter 20 ms",
        "100 ms, 60 to 140",
        Traffic(delay_s=0.05, jitter_s=0.02),
        "modelled",
        "netem delay 50ms 20ms",
    ),
    Case(
        "delay 50 ms, reorder 25 %",
        "0, 50 or 100 ms",
        Traffic(delay_s=0.05, reorder=0.25),
        "modelled",
        "netem delay 50ms reorder 25% gap 1",
    ),
    Case("loss 1 %", "200 ms for 2 %", Traffic(loss=0.01), "approximate", "netem loss 1%", 0.01),
    Case("loss 10 %", "200 ms or more for 19 %", Traffic(loss=0.1), "approximate", "netem loss 10%", 0.1),
    Case(
        "corrupt 5 %",
        "200 ms or more for 10 %",
        Traffic(corruption=0.05),
        "approximate",
        "netem corrupt 5%",
        0.05,
    ),
    Case("duplicate 50 %", "nothing", Traffic(duplication=0.5), "exact", "netem duplicate 50%"),
    Case(
        "bandwidth 100 kB/s, buffer 10 kB",
        "nothing; bulk 100 kB/s",
        Traffic(bucket=Bucket(100e3, 10e3, 20_000)),
        "modelled",
        "tbf rate 800kbit burst 10000b limit 20000b",
        bulk_bytes=300_000,
    ),
)


def through_the_kernel(case: Case, work: Work) -> tuple[str, Seen | str]:
    """By which of its means, and what is seen; or why not."""
    reason: Seen | str = "none is needed"
    if case.queue and not isinstance(reason := really(case.queue, work), str):
        return f"tc {case.queue}", reason
    if case.lost:
        losing = LostPackets(case.lost)
        with server(losing) as port:
            return f"a socket filter loses {case.lost:.0%}", see(port, work, losing)
    return "", reason


def after_a_partition(proxy: Proxy, lasts_s: float) -> dict[str, float]:
    """Seconds after the end of a partition until data comes on an open connection, and until a new one is made."""
    came_s: dict[str, float] = {}

    def open_one() -> None:
        socket.create_connection((HOST, proxy.port)).close()
        came_s["new"] = time.monotonic()

    with socket.create_connection((HOST, proxy.port)) as sock:
        sock.sendall(b'{"op": "exchange"}\n' + QUESTION)
        sock.recv(len(ANSWER))
        with proxy.disturbed(Traffic(cut=True)):
            opening = threading.Thread(target=open_one)
            opening.start()
            sock.sendall(QUESTION)
            sock.settimeout(lasts_s)
            try:
                silent = not sock.recv(1)
            except TimeoutError:
                silent = True
            assert silent, "a partition is silence"
        healed_s = time.monotonic()
        sock.settimeout(None)
        sock.recv(1)
        came_s["open"] = time.monotonic()
        opening.join()
    return {name: at_s - healed_s for name, at_s in came_s.items()}


def line(name: str, seen: Seen | str) -> str:
    """One row for a terminal."""
    if isinstance(seen, str):
        return f"  {name:34} {seen}"
    pairs = "   ".join(
        f"{key} {p50:7.1f} {p99:7.1f}"
        for key, (p50, p99) in (
            ("exchange", seen.exchange),
            ("new connection", seen.opening),
            ("event late", seen.event),
        )
    )
    bulk = f"   bulk {seen.bulk_kb_per_s:.0f} kB/s" if seen.bulk_kb_per_s else ""
    return f"  {name:34} {pairs}{bulk}"


def measure() -> dict[str, Any]:
    """All cases, printed as they are known."""
    rows = []
    for case in CASES:
        work = Work(bulk_bytes=case.bulk_bytes, events=2000 if case.lost else 400)
        with proxied() as proxy:
            if case.traffic is None:
                seen = see(proxy.port, work)
            else:
                with proxy.disturbed(case.traffic):
                    seen = see(proxy.port, work)
        means, real = through_the_kernel(case, work)
        print(f"{case.name}: {case.expected} ({case.fidelity}); median and P99 in ms")
        print(line("through the proxy", seen))
        print(line(means or "through the kernel", real), flush=True)
        kernel = real if isinstance(real, str) else asdict(real)
        rows.append({**asdict(case), "seen": asdict(seen), "kernel_by": means, "kernel": kernel})
    partitions = []
    for lasts_s in (0.5, 1.0, 2.0, 5.0):
        with proxied() as proxy:
            after = [after_a_partition(proxy, lasts_s) for _ in range(3)]
        told = {key: statistics.median(each[key] for each in after) for key in ("open", "new")}
        print(
            f"partition of {lasts_s:g} s: data {told['open']:.2f} s after its end, a new connection {told['new']:.2f} s"
        )
        partitions.append({"lasts_s": lasts_s, "after_s": after})
    return {"kernel_release": platform.release(), "faults": rows, "partitions": partitions}


def main() -> int:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    result = measure()
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
