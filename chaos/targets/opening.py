"""What a run gives its target: where it may write, whom it tells of itself, and what the load will be like."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporters.slo import OBJECTIVES, Objective


@dataclass(frozen=True, slots=True)
class Opening:
    """What a run gives its target beside the target's own section of the experiment file."""

    experiment: str
    folder: Path
    """Exists, and holds `logs/`."""
    seed: int
    run_metrics_address: str | None = None
    """Host and port of the run's own series, for the target's Prometheus."""
    ignore_eos: bool = True
    """Whether the load will ask for answers of an exact length."""
    body: Mapping[str, Any] | None = None
    """What its requests have besides."""
    model: str | None = None
    """Which model it will ask for, where the experiment's load says so."""
    api_key_env: str | None = None
    """The variable with its API key, where the experiment's load names one."""
    objectives: Sequence[Objective] = OBJECTIVES
    """What it is held to: bucket edges of whatever the target itself starts."""
    on_progress: Callable[[int, int], None] = lambda _ready, _wanted: None
    """Told the ready and the wanted number of replicas while the target starts."""
