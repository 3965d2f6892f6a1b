"""Where a run is shown besides its folder, as its options say."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Outlets:
    """None of them, unless somebody asks."""

    grafana_url: str | None = None
    """A Grafana that is told of faults while it goes on."""
    textfile: Path | None = None
    """A folder that has its outcome as series, once it is over."""
