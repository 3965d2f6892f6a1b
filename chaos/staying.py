"""A run that stays up after its load is over, for somebody to look at what it loaded; and where all of it is."""

import threading
from dataclasses import dataclass, field

from chaos.display.progress import Progress
from chaos.run_folder import RunFolder
from chaos.targets import Endpoints
from loadtests.endpoint import without_key


def addresses(
    folder: RunFolder, endpoints: Endpoints, run_metrics_address: str, dashboard: str | None
) -> str:
    """Where a run can be looked at, in one line; what it has not is not named."""
    known = {
        "folder": str(folder.path),
        "service": without_key(endpoints.url),
        "Prometheus": endpoints.prometheus_url,
        "gateway's series": endpoints.gateway_metrics_url,
        "the run's own": f"http://{run_metrics_address}/metrics",
        "dashboard": dashboard,
    }
    return ", ".join(f"{name} {where}" for name, where in known.items() if where is not None)


@dataclass(slots=True)
class Stay:
    """Holds a run before its clean-up until somebody ends it; its records are complete by then."""

    waiting: bool = False
    _released: threading.Event = field(default_factory=threading.Event)

    def until_released(self, progress: Progress, where: str) -> None:
        """Wait in the thread of the run."""
        progress.phase("stays up", "Ctrl-C ends it, and the report follows")
        progress.note(where)
        self.waiting = True
        self._released.wait()

    def release(self) -> bool:
        """End the wait, and say whether there was one: before it, a run is interrupted as any other."""
        if self.waiting:
            self._released.set()
        return self.waiting
