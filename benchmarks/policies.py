"""Three ways to schedule the same requests: latency against rate for one at a time, a window batcher, and continuous.

    python -m benchmarks.policies [--model 1b] [--rates 5,10,20,...] [--seconds 10] [--json FILE] [-- SERVER OPTIONS]

One server per policy, open-loop load through the HTTP API, one rate after another in the same run, until a rate
overloads the policy. Prints P99s and the knee: the highest rate at which every request was answered and the P99
end-to-end latency stayed within ten times that of the lowest rate.
"""

import argparse
import json
import sys
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.replica import replica
from chaos.load.process import Load, LoadConfig
from chaos.measuring.columns import columns
from chaos.measuring.quantiles import quantile
from chaos.measuring.slis import samples
from loadtests.rows import read_rows

POLICIES = ("none", "window", "continuous")
SETTLE_S = 2.0
OVERLOAD_FACTOR = 10.0


def warm_up(url: str, requests: int) -> None:
    """Answers of many lengths at once, twice: every batch size from `requests` down is met, compiled and captured."""

    def one(number: int) -> None:
        body = {"prompt": f"{number} warm", "max_tokens": 4 + 6 * number, "ignore_eos": True}
        order = urllib.request.Request(
            f"{url}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(order, timeout=120) as answer:
            answer.read()

    with ThreadPoolExecutor(requests) as pool:
        for _ in range(2):
            list(pool.map(one, range(requests)))


def measure(url: str, rate_per_s: float, options: argparse.Namespace) -> dict[str, float]:
    """What one rate gave, seconds; a failure counts as +infinity in each quantile."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        config = LoadConfig(
            url=url,
            rate_per_s=rate_per_s,
            duration_s=options.seconds + SETTLE_S,
            seed=1,
            prompt_tokens=options.prompt_tokens,
            output_tokens=options.output_tokens,
            max_in_flight=4000,
            plan_path=folder / "plan.jsonl",
            rows_path=folder / "rows.jsonl",
            summary_path=folder / "load.json",
            log_path=folder / "locust.log",
        )
        with Load(config) as load:
            load.start()
            load.wait(options.seconds + 90)
        rows = [row for row in read_rows(config.rows_path) if row.intended_s >= SETTLE_S]
    of_rows = columns(rows)
    ttft_s, itl_s, e2e_s, lag_s = (
        np.sort(samples(of_rows, metric)) for metric in ("ttft", "itl", "e2e", "lag")
    )
    return {
        "rate": rate_per_s,
        "arrivals": len(rows),
        "ok": sum(row.outcome == "ok" for row in rows) / len(rows),
        "ttft_p99_s": quantile(ttft_s, 99),
        "itl_p99_s": quantile(itl_s, 99),
        "e2e_p50_s": quantile(e2e_s, 50),
        "e2e_p99_s": quantile(e2e_s, 99),
        "lag_p99_s": quantile(lag_s, 99),
    }


def sweep(policy: str, options: argparse.Namespace) -> list[dict[str, float]]:
    """One policy from the lowest rate up, until it is overloaded."""
    results: list[dict[str, float]] = []
    settings = {"DS_MODEL_NAME": options.model, "DS_SCHEDULING": policy}
    with replica(settings, *options.server_options) as server:
        url = server.url
        warm_up(url, options.warm_up)
        for rate_per_s in sorted(options.rates):
            result = measure(url, rate_per_s, options)
            results.append(result)
            times = " ".join(
                f"{1000 * result[name]:9.1f}"
                for name in ("ttft_p99_s", "itl_p99_s", "e2e_p50_s", "e2e_p99_s", "lag_p99_s")
            )
            print(f"{policy:>10} {rate_per_s:7g} {result['ok']:7.1%} {times}", flush=True)
            if not held(result, results[0]):
                break
    return results


def held(result: dict[str, float], lowest: dict[str, float]) -> bool:
    """Whether a rate is below the knee."""
    return result["ok"] == 1 and result["e2e_p99_s"] <= OVERLOAD_FACTOR * lowest["e2e_p99_s"]


def main() -> int:
    """Print the table and the knees."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="tiny")
    parser.add_argument(
        "--rates", type=lambda text: [float(word) for word in text.split(",")], default=[5.0, 10.0, 20.0]
    )
    parser.add_argument("--policies", type=lambda text: text.split(","), default=list(POLICIES))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--output-tokens", type=int, default=16)
    parser.add_argument(
        "--warm-up", type=int, default=16, metavar="REQUESTS", help="at once, before each policy"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("server_options", nargs="*", help="after --: options of the server")
    options = parser.parse_args()
    print("    policy    rate      ok  TTFT p99  ITL p99   e2e p50   e2e p99  lag p99  (ms)")
    results = {policy: sweep(policy, options) for policy in options.policies}
    for policy, lines in results.items():
        knee = max((line["rate"] for line in lines if held(line, lines[0])), default=0.0)
        print(f"{policy:>10}: knee at {knee:g} requests/s")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
