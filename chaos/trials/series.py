"""Runs the trials of a series one after another, and leaves a record that is true whenever it is cut off.

Each trial gets a target of its own, started for it and ended after it: what a kill left behind (a warm cache, a replica
that is a little older, a port that lingers) must not reach the next trial, for its bounds rest on trials that do not
know of each other. It costs the seconds of a start per trial.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from chaos import ending
from chaos.display.progress import Progress
from chaos.display.trials import SeriesProgress
from chaos.ending import Ending
from chaos.errors import AftershockError, CleanupError, ExitCode, InputError
from chaos.experiment.experiment import Experiment
from chaos.interrupts import Interrupted
from chaos.publishing.annotations import GrafanaAnnotations
from chaos.record.trials import Series, Trial, TrialState, read_series
from chaos.report import recorded, write, write_reports
from chaos.report.series import sentences
from chaos.report.words import seconds
from chaos.run_folder import RunFolder, SeriesFolder
from chaos.runner import Run
from chaos.trials.outcome import completed
from chaos.trials.schedule import schedule
from chaos.trials.summarising import SeriesFacts, summarise
from chaos.trials.variation import first_fault_s, write_templates, write_trial

NOT_FINISHED = "the series was not finished"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a series consists of."""

    faults: int
    """Trials with the experiment's faults."""
    shams: int
    jitter_s: float | None
    """How much later the faults may be injected; None for what the experiment says."""
    seed: int


@dataclass(slots=True)
class TrialSeries:
    """A series from its experiment to its record."""

    experiment: Experiment
    asked: Asked
    folder: SeriesFolder
    display: Callable[[], Progress]
    """A new display, for one trial."""
    versions: Mapping[str, str]
    grafana: GrafanaAnnotations | None = None
    make_run: Callable[[Experiment, RunFolder, Progress, GrafanaAnnotations | None], Run] = Run
    """How to come by the run of a trial."""

    def run(self) -> Series:
        """Run every trial and return the record, which is in the folder from the beginning and after each of them.

        Raises:
            Interrupted: somebody stopped it; the trial that went on was cleaned up, and the record says so.
            CleanupError: something of a trial may still be there: no other may begin.
            InputError: the first trial found the input wrong; the others would.
        """
        asked = self.asked
        templates = write_templates(
            self.experiment, self.folder, seed=asked.seed, jitter_s=asked.jitter_s, versions=self.versions
        )
        facts = self._facts(templates[0])
        trials = [
            trial.model_copy(
                update={"fault_after_s": round(first_fault_s(templates[trial.sham], trial.seed), 6)}
            )
            for trial in schedule(asked.seed, asked.faults, asked.shams)
        ]
        progress = SeriesProgress(len(trials), templates[0].spec.planned_s, self.display)
        self._keep(facts, trials, NOT_FINISHED)
        try:
            for index, trial in enumerate(trials):
                shown = progress.trial(trial.number, _about(trial))
                outcome, error = self._one(templates, trial, shown)
                trials[index] = outcome
                shown.note(f"trial {trial.number} {sentences.of_trial(outcome)}")
                self._keep(facts, trials, NOT_FINISHED)
                if isinstance(error, Interrupted | CleanupError | InputError):
                    raise error
                progress.over()
        except (Interrupted, CleanupError, InputError) as error:
            how = Ending.of(error, None)
            how.write(self.folder.ending)
            self._keep(facts, trials, how.why, ExitCode(how.exit_code))
            raise
        return self._keep(facts, trials)

    def _one(
        self, templates: tuple[Experiment, Experiment], trial: Trial, shown: Progress
    ) -> tuple[Trial, AftershockError | Interrupted | None]:
        """Run one trial: what it came to, and what ended it early."""
        folder, began_s = self.folder.trial(trial.folder), time.monotonic()
        ended: AftershockError | Interrupted | None = None
        try:
            experiment = write_trial(templates, trial, folder, self.versions)
            self.make_run(experiment, folder, shown, self.grafana).run()
        except (AftershockError, Interrupted) as error:
            ended = error
        if not folder.journal.is_file():
            return _without_journal(trial, str(ended)), ended
        write_reports(folder)
        return completed(trial, folder.journal, time.monotonic() - began_s), ended

    def _facts(self, template: Experiment) -> SeriesFacts:
        spec = template.spec
        return SeriesFacts(
            experiment=spec.experiment,
            hypothesis=spec.hypothesis,
            target=self.experiment.target.kind,
            seed=self.asked.seed,
            jitter_s=max(entry.jitter_s for entry in spec.entries),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=self.versions,
            expressions=spec.assertions,
        )

    def _keep(
        self,
        facts: SeriesFacts,
        trials: list[Trial],
        cut_short: str | None = None,
        code: ExitCode | None = None,
    ) -> Series:
        record = summarise(facts, trials, cut_short, code)
        record.write(self.folder.trials)
        return record


def judged_again(folder: SeriesFolder) -> Series:
    """The record of a series made anew from the raw records of its trials, whose reports are rewritten too.

    Raises:
        InputError: the folder has no record of what the series was, or a trial's folder is not what a run leaves.
    """
    before = read_series(folder.trials)
    facts = SeriesFacts(
        experiment=before.experiment,
        hypothesis=before.hypothesis,
        target=before.target,
        seed=before.seed,
        jitter_s=before.jitter_s,
        started_at=before.started_at,
        versions=before.versions,
        expressions=[one.expression for one in before.assertions],
    )
    trials = [_judged_trial(trial, RunFolder(folder.path / trial.folder)) for trial in before.trials]
    how = ending.read(folder.ending)
    if how is not None:
        record = summarise(facts, trials, how.why, ExitCode(how.exit_code))
    else:
        left = any(trial.state == TrialState.PLANNED for trial in trials)
        record = summarise(facts, trials, NOT_FINISHED if left else None)
    record.write(folder.trials)
    return record


def _judged_trial(trial: Trial, folder: RunFolder) -> Trial:
    if not folder.experiment.is_file():
        return trial
    run = recorded.judged(folder)
    run.journal.write(folder.journal)
    write(folder, run)
    return completed(trial, folder.journal, trial.took_s)


def _without_journal(trial: Trial, why: str) -> Trial:
    return trial.model_copy(update={"state": TrialState.CUT_SHORT, "reasons": (why,)})


def _about(trial: Trial) -> str:
    return f"{'sham, ' if trial.sham else ''}seed {trial.seed}, fault after {seconds(trial.fault_after_s)}"
