"""The highest request rate that the demo cluster holds within its SLO, and the generator's lag at each rate.

    python -m benchmarks.highest_rate [--rates 10,15,20,...] [--seconds 20] [--experiment FILE]

One cluster, one rate after another, open loop. A rate is held when at least 99 % of its arrivals met every objective
and the generator's p99 lag stayed within 5 % of the TTFT bound. Takes about 4 minutes.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from chaos.experiment.experiment import read_experiment
from chaos.judging.judge import objectives
from chaos.load.config import load_config, served_model
from chaos.load.process import Load
from chaos.measuring.columns import columns
from chaos.measuring.evidence import LATE_SHARE
from chaos.measuring.objectives import is_good
from chaos.measuring.quantiles import quantile
from chaos.measuring.slis import samples
from chaos.run_folder import RunFolder
from chaos.targets.options import Opening
from loadtests.rows import read_rows

ROOT = Path(__file__).parent.parent
HELD_SHARE = 0.99
SETTLE_S = 2.0


def main() -> int:
    """Print a table, then the highest rate held."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", default="10,15,20,25,30,35,40,50")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--experiment", type=Path, default=ROOT / "chaos/experiments/pod-kill-30.yaml")
    options = parser.parse_args()
    experiment = read_experiment(options.experiment)
    slo, held = objectives(experiment.spec), 0.0
    with tempfile.TemporaryDirectory() as temporary:
        folder = RunFolder(Path(temporary))
        folder.logs.mkdir()
        opening = Opening("highest-rate", folder.path, experiment.spec.seed or 0)
        with experiment.target.open(opening) as target:
            base = load_config(experiment, folder, target, served_model(target.endpoints()), rate_per_s=1.0)
            print("  rate   good   TTFT p50   TTFT p99    e2e p99   lag p99")
            for rate in (float(word) for word in options.rates.split(",")):
                with Load(base.but(rate_per_s=rate, duration_s=options.seconds + SETTLE_S)) as load:
                    load.start()
                    load.wait(options.seconds + 60)
                rows = [row for row in read_rows(folder.requests) if row.intended_s >= SETTLE_S]
                good = sum(is_good(row, slo) for row in rows) / len(rows)
                of_rows = columns(rows)
                ttft_s, e2e_s, lag_s = (
                    np.sort(samples(of_rows, metric)) for metric in ("ttft", "e2e", "lag")
                )
                lag_p99_s = quantile(lag_s, 99)
                latencies_s = (quantile(ttft_s, 50), quantile(ttft_s, 99), quantile(e2e_s, 99))
                told = " ".join(f"{1000 * each_s:7.0f} ms" for each_s in latencies_s)
                print(f"{rate:6.1f} {good:6.1%} {told} {1000 * lag_p99_s:6.1f} ms", flush=True)
                if good >= HELD_SHARE and lag_p99_s <= LATE_SHARE * slo.ttft_s:
                    held = rate
    print(
        f"highest rate held within ttft <= {slo.ttft_s:g} s and e2e <= {slo.e2e_s:g} s: {held:g} requests/s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
