"""Which inference engine the replicas are, read off their series: what it can tell, and which rules fit it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from chaos.collecting.exposition import exposition
from chaos.errors import InconclusiveError
from chaos.run_folder import RunFolder
from exporters.profiles.coverage import Coverage, coverage_of
from exporters.profiles.library import ProfileError, profiles
from exporters.profiles.samples import ExpositionError
from exporters.profiles.table import as_json, as_table
from exporters.slo import OBJECTIVES, Objective

REFERENCE = "reference"
_RULES = "live.rules.yaml"
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class RecognisedEngine:
    """What the replicas' own series say that they are."""

    source: str
    """The exposition that was read."""
    told: Coverage | None
    """What it can tell; None when no profile fits."""
    reason: str = ""
    """Why it could not be recognised."""

    @property
    def is_foreign(self) -> bool:
        """Anything but the reference server."""
        return self.told is None or self.told.profile.engine != REFERENCE

    @property
    def name(self) -> str:
        """As the profiles call it, or `unknown`."""
        return self.told.profile.engine if self.told is not None else "unknown"

    def explained(self, width: int) -> str:
        """What it can and cannot tell, for people."""
        return (
            f"engine not recognised: {self.reason}" if self.told is None else as_table(self.told, width=width)
        )

    def journaled(self) -> dict[str, Any]:
        """The same for the journal; only what a foreign engine tells is news."""
        if self.told is None:
            return {"engine": self.name, "reason": self.reason}
        return as_json(self.told, self.source) if self.is_foreign else {"engine": self.name}

    def rules_for(self, objectives: Sequence[Objective], folder: RunFolder) -> Path | None:
        """The live rules; for objectives that are not the demo's they are made, and written into the run's folder."""
        if self.told is None or tuple(objectives) == OBJECTIVES:
            return self.live_rules()
        from dashboards.engines import engine_of
        from dashboards.rules.files import live_rules

        engine = engine_of(self.told.profile, objectives)
        if not engine.of("request"):
            return None
        folder.rules.write_text(live_rules(engine), encoding="utf-8")
        return folder.rules

    def live_rules(self) -> Path | None:
        """The rules for this engine with windows for a run of minutes; None where there are none for it."""
        name = f"{self.name}.{_RULES}" if self.is_foreign else _RULES
        # Found as package data, not imported: what makes the rules is no part of most runs.
        found = files("dashboards").joinpath("generated", name)
        with as_file(found) as path:
            return path if path.is_file() else None


def recognised(urls: Sequence[str]) -> RecognisedEngine:
    """What the first of these expositions that can be read is one of; nothing here fails a run."""
    reason = "no replica serves series"
    for url in urls:
        try:
            return RecognisedEngine(url, coverage_of(exposition(url, _TIMEOUT_S), profiles()))
        except (InconclusiveError, ExpositionError, ProfileError) as error:
            reason = str(error).splitlines()[0]
    return RecognisedEngine("", None, reason)
