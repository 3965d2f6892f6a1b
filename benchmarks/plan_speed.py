"""How long a plan of a million arrivals takes: to make, to write, to read, and what it weighs.

python -m benchmarks.plan_speed [ARRIVALS]
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from loadtests.plan import Plan
from loadtests.spec import LoadSpec
from loadtests.traffic.profiles import PROFILES
from loadtests.traffic.rate_profile import RateProfile, Spike

RATE_PER_S = 1000.0
KINDS: dict[str, dict[str, Any]] = {
    "constant": {"arrivals": "constant"},
    "poisson": {"arrivals": "poisson"},
    "gamma 0.25": {"arrivals": "gamma", "burstiness": 0.25},
    "poisson with a spike": {"rate_profile": RateProfile(spike=Spike(at_s=10.0, lasts_s=5.0, factor=3.0))},
    **{name: {**settings, "rate_per_s": RATE_PER_S} for name, settings in PROFILES.items()},
}
T = TypeVar("T")


def timed(action: Callable[[], T]) -> tuple[T, float]:
    """What an action gives, and the seconds that it took."""
    began_s = time.perf_counter()
    value = action()
    return value, time.perf_counter() - began_s


def main() -> int:
    """Print a line per kind of traffic."""
    arrivals = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print("| traffic | arrivals | made in s | written in s | read in s | MB |")
    print("|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.jsonl"
        for name, settings in KINDS.items():
            spec = LoadSpec(
                **{
                    "url": "",
                    "rate_per_s": RATE_PER_S,
                    "duration_s": arrivals / RATE_PER_S,
                    "seed": 1,
                    **settings,
                }
            )
            plan, made_s = timed(partial(Plan.of, spec))
            _, written_s = timed(partial(plan.write, path))
            _, read_s = timed(partial(Plan.read, path))
            size_mb = path.stat().st_size / 1e6
            print(
                f"| {name} | {len(plan.arrivals):,} | {made_s:.1f} | {written_s:.1f} | {read_s:.1f} | {size_mb:.0f} |"
            )
            sys.stdout.flush()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nat most {peak_mb:,.0f} MB of memory")
    return 0


if __name__ == "__main__":
    sys.exit(main())
