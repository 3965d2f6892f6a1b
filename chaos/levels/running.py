"""The levels of a load, one after another: each is a run without a fault, and leaves a run folder."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from chaos.display.levels import LevelProgress
from chaos.display.progress import Progress
from chaos.errors import InconclusiveError, RefusedError
from chaos.experiment.experiment import Experiment, read_experiment
from chaos.judging import judge, records
from chaos.levels.choosing import FIRST_PERCENT, next_rate
from chaos.levels.folder import LoadFolder
from chaos.measuring.performance import (
    Performance,
    carried,
    decided,
    highest_within,
    knee,
    performance,
)
from chaos.observe import Observation, write_observation
from chaos.reading.quantities import CapacityShare
from chaos.record import journal as journals
from chaos.record.load_run import Level, LoadRun, Objective
from chaos.report import write_reports
from chaos.report.words import plain
from chaos.run_folder import RunFolder
from chaos.runner import Run

ALONE = "."
"""The folder of the only level."""


@dataclass(slots=True)
class Levels:
    """What all levels of one load have in common."""

    asked: Observation
    """Of each level; its rate is the first."""
    goal: float
    folder: LoadFolder
    versions: Mapping[str, str]
    display: Callable[[], Progress]
    """A new display, for one level."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set by somebody who has seen enough."""
    current: Run | None = None
    """The level under way."""
    _levels: list[tuple[str, Performance]] = field(default_factory=list)
    _capacity_per_s: float = 0.0
    _why: str | None = None
    _started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def one(self) -> LoadRun:
        """A load of one rate."""
        self._run(ALONE, self.asked.rate, self.display())
        return self._record()

    def several(self, rates: tuple[float, ...]) -> LoadRun:
        """A load of these rates, or, without any, of those that show what the service carries.

        Raises:
            AftershockError: not even the first level could be run.
        """
        for number, rate in enumerate(self._rates(rates), start=1):
            about = f"{plain(rate)}/s" if isinstance(rate, float) else str(rate)
            of = f" of {len(rates)}" if rates else ""
            shown = LevelProgress(f"level {number}{of}", about, self.display())
            try:
                level = self._run(f"level-{number:02d}", rate, shown)
            except (InconclusiveError, RefusedError) as error:
                if not self._levels:
                    raise
                self._why = f"{about}: {error}"
                break
            shown.over(level)
            self._record()  # on disk after each: a sweep that is killed has what it measured
            if self.stopping.is_set():
                self._why = "ended by its user"
                break
        return self._record()

    def end(self) -> bool:
        """End the level under way, and the load with it; whether there was one to be seen."""
        run = self.current
        if run is None or not run.under_load:
            return False
        self.stopping.set()
        run.stopping.set()
        return True

    def _rates(self, rates: tuple[float, ...]) -> Iterator[float | CapacityShare]:
        if rates:
            yield from rates
            return
        yield CapacityShare(FIRST_PERCENT)
        while (
            rate := next_rate([each for _, each in self._levels], self.goal, self._capacity_per_s)
        ) is not None:
            yield rate

    def _run(self, name: str, rate: float | CapacityShare, shown: Progress) -> Performance:
        folder = self.folder.run(name)
        # Other prompts at each level: what the one before asked must not be in any cache yet.
        seeded = replace(self.asked, rate=rate, seed=self.asked.seed + 1000 * len(self._levels))
        self.current = Run(write_observation(seeded, folder, versions=self.versions), folder, shown)
        try:
            self.current.run()
        finally:
            if folder.journal.is_file():
                write_reports(folder)
        experiment = read_experiment(folder.experiment)
        if experiment.spec.load.capacity is not None:
            self._capacity_per_s = experiment.spec.load.capacity.measured
        level = measured(folder, experiment)
        self._levels.append((name, level))
        return level

    def _objective(self) -> Objective:
        """What makes a request good: the two bounds that options give, and those of the file of objectives."""
        bounds_s = {each.name: each.bound_s for each in self.asked.objectives}
        return Objective(
            ttft_s=self.asked.ttft_s,
            e2e_s=self.asked.e2e_s,
            itl_s=bounds_s.get("itl"),
            tpot_s=bounds_s.get("tpot"),
            goal=self.goal,
        )

    def _record(self) -> LoadRun:
        folders = {name: self.folder.run(name) for name, _ in self._levels}
        first = next(iter(folders.values()))
        record = LoadRun(
            schema=LoadRun.SCHEMA,
            url=self.asked.url,
            model=records.read(first).generator.model or "",
            started_at=self._started_at,
            seed=self.asked.seed,
            objective=self._objective(),
            levels=[],
            highest_per_s=None,
            knee_per_s=None,
            ended_early=self._why,
            versions=dict(self.versions),
        )
        return concluded(record, self._levels, self.folder)


def measured(folder: RunFolder, experiment: Experiment) -> Performance:
    """What the raw records of one level say."""
    spec = experiment.spec
    rate_per_s = spec.load.rate_per_s
    assert rate_per_s is not None
    return performance(records.read(folder).timeline, judge.objectives(spec), rate_per_s)


def again(folder: LoadFolder, before: LoadRun) -> LoadRun:
    """The record made anew from the raw records of its levels, whose reports are rewritten too.

    Raises:
        InputError: a level's folder is not what a run leaves.
    """
    levels = []
    for level in before.levels:
        run = folder.run(level.folder)
        judge.judge_folder(run).write(run.journal)
        write_reports(run)
        levels.append((level.folder, measured(run, read_experiment(run.experiment))))
    return concluded(before, levels, folder)


def concluded(record: LoadRun, levels: list[tuple[str, Performance]], folder: LoadFolder) -> LoadRun:
    """The record with its levels and what they show together, also on disk."""
    goal = record.objective.goal
    every = [level for _, level in levels]
    highest, best = highest_within(every, goal), knee(every)
    ordered = sorted(levels, key=lambda one: one[1].rate_per_s)
    whole = record.model_copy(
        update={
            "levels": [_level(name, level, goal, folder.run(name)) for name, level in ordered],
            "highest_per_s": None if highest is None else highest.rate_per_s,
            "knee_per_s": None if best is None else best.rate_per_s,
        }
    )
    folder.record.write_text(whole.text)
    return whole


def _level(name: str, level: Performance, goal: float, folder: RunFolder) -> Level:
    journal = journals.read(folder.journal)
    told = {
        **asdict(level),
        "folder": name,
        "carried": carried(level, goal),
        "decided": decided(level, goal),
        "unsound": list(journal.reasons),
    }
    return Level.model_validate(told)
