"""The folder that a run leaves: where each file lies, and the intent log that is on disk before an effect exists."""

import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chaos.errors import InputError


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names of the files of one run; see the README's table for what each holds."""

    path: Path

    @property
    def experiment(self) -> Path:
        """The experiment as run: with its seed and the versions used."""
        return self.path / "experiment.yaml"

    @property
    def timetable(self) -> Path:
        """What was to be injected and undone, and when: written before the load begins."""
        return self.path / "timetable.json"

    @property
    def plan(self) -> Path:
        """What was to be asked, and when, one line per arrival: written before the load begins."""
        return self.path / "plan.jsonl"

    @property
    def requests(self) -> Path:
        """One row per planned arrival."""
        return self.path / "requests.jsonl"

    @property
    def events(self) -> Path:
        """Lifecycle and fault events on the run clock."""
        return self.path / "events.jsonl"

    @property
    def load(self) -> Path:
        """What the load generator says of itself."""
        return self.path / "load.json"

    def capacity_plan(self, ramp: int) -> Path:
        """What was to be asked on a ramp that measured what the cluster carries: the first, or a gentler second."""
        return self.path / f"capacity-{ramp}.plan.jsonl"

    def capacity_rows(self, ramp: int) -> Path:
        """One row per arrival of that ramp."""
        return self.path / f"capacity-{ramp}.jsonl"

    def capacity_load(self, ramp: int) -> Path:
        """What the load generator says of itself on that ramp."""
        return self.path / f"capacity-{ramp}.json"

    @property
    def series(self) -> Path:
        """Prometheus series kept for the report."""
        return self.path / "series.json"

    @property
    def promql(self) -> Path:
        """What the expressions of assertions came to over the run."""
        return self.path / "promql.json"

    @property
    def rules(self) -> Path:
        """The rules that were evaluated, where the objectives were the run's own."""
        return self.path / "live.rules.yaml"

    @property
    def alerts(self) -> Path:
        """Every alert that fired."""
        return self.path / "alerts.json"

    @property
    def engine(self) -> Path:
        """What the replicas are, and what they can tell."""
        return self.path / "engine.json"

    @property
    def counts(self) -> Path:
        """Requests as client, gateway and replicas counted them; null where no gateway tells of itself."""
        return self.path / "counts.json"

    @property
    def metrics(self) -> Path:
        """All four of them in one, as runs of earlier versions left them."""
        return self.path / "metrics.json"

    @property
    def processor(self) -> Path:
        """Who had used how much of the processor, a line each second, on the host's monotonic clock."""
        return self.path / "processor.jsonl"

    @property
    def ending(self) -> Path:
        """How the run ended, where it was cut short."""
        return self.path / "ending.json"

    @property
    def journal(self) -> Path:
        """The machine-readable record of the run."""
        return self.path / "journal.json"

    @property
    def report(self) -> Path:
        """The report for people."""
        return self.path / "report.html"

    @property
    def summary(self) -> Path:
        """The report for a CI job."""
        return self.path / "summary.md"

    @property
    def outcome(self) -> Path:
        """What it came to, as series for a lasting Prometheus."""
        return self.path / "run.prom"

    @property
    def logs(self) -> Path:
        """Output of every process of the run."""
        return self.path / "logs"

    @property
    def intents(self) -> Path:
        """What was about to be done, written before it was done."""
        return self.path / "state.jsonl"

    def intend(self, intent: str, **facts: Any) -> None:
        """Append one intent and force it to disk; only then may its effect be caused.

        Raises:
            OSError: the disk refused; the effect must not be caused.
        """
        row = {
            "intent": intent,
            "at": datetime.now(UTC).isoformat(),
            "monotonic_s": time.monotonic(),
            **facts,
        }
        with self.intents.open("a") as log:
            log.write(json.dumps(row) + "\n")
            log.flush()
            os.fsync(log.fileno())


@dataclass(frozen=True, slots=True)
class SeriesFolder:
    """Names of the files of a series of trials; each trial is a run folder below."""

    path: Path

    @property
    def experiment(self) -> Path:
        """What each trial with a fault is a variation of."""
        return self.path / "experiment.yaml"

    @property
    def sham(self) -> Path:
        """What each sham trial is a variation of: the same, its faults replaced by nothing."""
        return self.path / "sham.yaml"

    @property
    def trials(self) -> Path:
        """The record of the series: from its beginning what it will do, and more with each trial."""
        return self.path / "trials.json"

    @property
    def ending(self) -> Path:
        """How the series ended, where it was cut short."""
        return self.path / "ending.json"

    @property
    def report(self) -> Path:
        """The report for people."""
        return self.path / "report.html"

    @property
    def summary(self) -> Path:
        """The report for a CI job."""
        return self.path / "summary.md"

    def trial(self, name: str) -> RunFolder:
        """The folder of one trial, which is there from now on."""
        folder = RunFolder(self.path / name)
        folder.logs.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass(frozen=True, slots=True)
class CatalogueFolder:
    """Names of the files of a catalogue that was run; each run is a run folder below."""

    path: Path

    @property
    def summary(self) -> Path:
        """What came of each, for a CI job."""
        return self.path / "summary.md"

    @property
    def junit(self) -> Path:
        """The same as JUnit XML."""
        return self.path / "junit.xml"

    def run(self, name: str) -> Path:
        """Where the run of one experiment goes."""
        return self.path / name


def create_catalogue(out: Path | None) -> CatalogueFolder:
    """A new folder for the runs of a catalogue, named as that of a run.

    Raises:
        InputError: `out` holds files already, or cannot be made.
    """
    return CatalogueFolder(_new("catalogue", out))


def create(experiment: str, out: Path | None) -> RunFolder:
    """A new folder: `out`, which must be empty or not exist yet, or `runs/<experiment>-<UTC time>`.

    Raises:
        InputError: `out` holds files already, or cannot be made.
    """
    path = _new(experiment, out)
    folder = RunFolder(path)
    try:
        folder.logs.mkdir()
    except OSError as error:
        raise InputError(f"the run folder cannot be made: {error}") from error
    return folder


def create_series(experiment: str, out: Path | None) -> SeriesFolder:
    """A new folder for a series of trials, named as that of a run.

    Raises:
        InputError: `out` holds files already, or cannot be made.
    """
    return SeriesFolder(_new(experiment, out))


def _new(experiment: str, out: Path | None) -> Path:
    path = out or Path("runs") / f"{experiment}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise InputError(f"--out must be a new or empty folder, this one holds files: {path}")
    except OSError as error:
        raise InputError(f"the run folder cannot be made: {error}") from error
    return path


def existing(path: Path) -> RunFolder:
    """The folder of an earlier run.

    Raises:
        InputError: it holds no experiment.
    """
    folder = RunFolder(path)
    if not folder.experiment.is_file():
        raise InputError(f"not a run folder, it has no experiment.yaml: {path}")
    return folder
