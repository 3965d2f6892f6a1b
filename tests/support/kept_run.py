"""A run of `aftershock run --keep`, as a user starts it, for as long as somebody looks at its Prometheus."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.prometheus import PrometheusClient
from tests.conftest import wait_until

_WITHIN_S = 600.0
_LAST_S = 6.0


@dataclass(frozen=True)
class KeptRun:
    """A run whose load is over and whose cluster is still there."""

    client: PrometheusClient
    start_s: float
    end_s: float
    """Unix seconds of the load's begin, and of now."""

    def faults(self) -> Sequence[tuple[float, float]]:
        """From and until when each was in force, in their order, as Prometheus was told each second."""
        told = self.client.range("ds_chaos_active > 0", self.start_s, self.end_s, 1.0)
        return sorted((series.points[0][0], series.points[-1][0]) for series in told)


@contextmanager
def kept_run(experiment: Path, folder: Path) -> Iterator[KeptRun]:
    """Run it, and hold it once it stays up; Ctrl-C ends it afterwards."""
    said = folder.with_suffix(".said")
    command = [sys.executable, "-m", "chaos", "run", str(experiment), "--out", str(folder), "--keep"]
    with said.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file) as runner:
        try:
            wait_until(lambda: "warm-up" in said.read_text() or runner.poll(), within_s=120, what="load")
            start_s = time.time()
            wait_until(
                lambda: "stays up" in said.read_text() or runner.poll(), within_s=_WITHIN_S, what="its end"
            )
            found = re.search(r"Prometheus (http://\S+?),", said.read_text())
            assert runner.poll() is None, said.read_text()
            assert found, said.read_text()
            client = PrometheusClient(found[1])
            # The last figures are told once it was judged: for so long that a chart's last point has them.
            wait_until(
                lambda: client.instant("ds_run_verdict", time.time() - _LAST_S), within_s=60, what="a verdict"
            )
            yield KeptRun(client, start_s, time.time())
        finally:
            runner.send_signal(signal.SIGINT)
            runner.wait(120)
