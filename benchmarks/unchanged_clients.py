"""Whether guidellm and aiperf run against the reference server and the gateway as they come, and what they report.

    python -m benchmarks.unchanged_clients [--rate 5] [--requests 60]

Neither is told to leave out a check of its own: guidellm asks `/health`, both list the models. Beside them our load.
Two replicas behind the gateway. Takes some three minutes, and more the first time (`benchmarks/peer_clients.py`).
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.peer_clients import CLIENTS, Asked, Reported
from benchmarks.replica import replica
from chaos.targets.local.gateway.spec import GatewaySpec
from loadtests.endpoint import Endpoint, first_model
from tests.support.local_cluster import helper

SERVER = {"DS_MIN_STEP_SECONDS": "0.02", "DS_TORCH_THREADS": "1"}
NAMES = ("aftershock", "guidellm", "aiperf")
HEADS = ("at", "client", "requests", "TTFT p50 ms", "ITL p50 ms", "e2e p50 ms", "e2e p99 ms")


@contextmanager
def gateway(replicas: list[str]) -> Iterator[str]:
    """The URL of a gateway in front of these base URLs.

    It is told anew each second that they are ready, as a cluster tells it after each probe: a replica of which one
    connection was lost gets requests again only then, and on a full machine connections are lost.
    """
    with helper("gateway") as orders:
        port = orders.ask("listen", gateway=asdict(GatewaySpec()))["port"]
        over = threading.Event()

        def tell() -> None:
            now_s = time.monotonic()
            rows = [
                {"name": f"r{place}", "port": urlsplit(url).port, "ready": True, "probed_s": now_s}
                for place, url in enumerate(replicas)
            ]
            orders.ask("endpoints", endpoints=rows)

        def go_on_telling() -> None:
            while not over.wait(1.0):
                tell()

        tell()
        teller = threading.Thread(target=go_on_telling)
        teller.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            over.set()
            teller.join()


def line(at: str, found: Reported) -> str:
    """One row of the table."""
    figures = (found.ttft_p50_ms, found.itl_p50_ms, found.e2e_p50_ms, found.e2e_p99_ms)
    cells = ("-" if value is None else f"{value:,.1f}" for value in figures)
    requests = f"{found.requests} ({found.others})" if found.others else str(found.requests)
    return "| " + " | ".join([at, found.client, requests, *cells]) + " |"


def main() -> int:
    """Print the table; 1 when a client did not get an answer to each of its requests."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--requests", type=int, default=60)
    options = parser.parse_args()
    print("| " + " | ".join(HEADS) + " |\n|" + "---|" * len(HEADS))
    missed = False
    with replica(SERVER) as one, replica(SERVER) as two, gateway([one.url, two.url]) as front:
        for at, url in (("replica", one.url), ("gateway", front)):
            asked = Asked(url, first_model(Endpoint.parse(url)), options.rate, options.requests, 64, 32)
            for name in NAMES:
                with tempfile.TemporaryDirectory() as folder:
                    for found in CLIENTS[name](asked, Path(folder)):
                        print(line(at, found), flush=True)
                        missed |= found.requests != options.requests
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
