"""What the instrumentation costs: tokens per second of one reference server with it and without it, in one run.

    python -m benchmarks.instrumentation_cost [--rounds 5] [--requests 60]

Both servers live side by side, idle but for their turn; rounds alternate their order. Prints each round, and the median
of the ratios. Scraped once a second while measured, as a run does. Takes about 2 minutes.
"""

import argparse
import http.client
import json
import statistics
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from benchmarks.replica import Replica, replica

OUTPUT_TOKENS = 32
CONCURRENCY = 4


def answer(port: int, number: int) -> None:
    """One streamed answer, read to its end."""
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": f"request {number:06d} and some more words to read"}],
        "max_tokens": OUTPUT_TOKENS,
        "ignore_eos": True,
        "stream": True,
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    assert b"[DONE]" in connection.getresponse().read()
    connection.close()


def tokens_per_second(server: Replica, requests: int) -> float:
    """Closed loop at a fixed concurrency, scraped once a second."""
    done = threading.Event()

    def scrape() -> None:
        while not done.wait(1.0):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=1).read()
            except OSError:
                return  # the server without instrumentation has no such port

    scraper = threading.Thread(target=scrape)
    scraper.start()
    began_s = time.monotonic()
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(lambda number: answer(server.port, number), range(requests)))
    took_s = time.monotonic() - began_s
    done.set()
    scraper.join()
    return requests * OUTPUT_TOKENS / took_s


def main() -> int:
    """Print each round and the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=80)
    options = parser.parse_args()
    ratios = []
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(replica({"DS_MODEL_NAME": "tiny", "DS_METRICS": name}))
            for name in ("on", "off")
        }
        for server in servers.values():
            tokens_per_second(server, options.requests // 2)
        for number in range(options.rounds):
            order = ("on", "off") if number % 2 else ("off", "on")
            rates = {name: tokens_per_second(servers[name], options.requests) for name in order}
            ratios.append(rates["on"] / rates["off"])
            print(
                f"with {rates['on']:6.0f} tokens/s   without {rates['off']:6.0f} tokens/s   ratio {ratios[-1]:.3f}"
            )
    print(f"median ratio {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
