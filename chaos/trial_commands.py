"""What the verbs about several runs do: a series of trials, its report, a comparison, a trend."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chaos import commands, load_commands, run_folder
from chaos.display.progress import for_stream
from chaos.errors import InputError
from chaos.experiment.experiment import read_experiment
from chaos.experiment.foreseen import require_sound
from chaos.interrupts import interruptible
from chaos.publishing import step_summary
from chaos.record.trials import read_series
from chaos.report.series import write_series_reports
from chaos.report.series.terminal import print_series
from chaos.run_folder import SeriesFolder
from chaos.trials import comparison, loading, terminal, trend_page
from chaos.trials import trend as trends
from chaos.trials.schedule import shams_of
from chaos.trials.series import Asked, TrialSeries, judged_again
from chaos.versions import versions

MEASURES = tuple(comparison.MEASURES)
"""What two series can be compared in."""


@dataclass(frozen=True, slots=True)
class SeriesOptions:
    """What a series consists of, as it was asked for."""

    trials: int
    shams: int | float = 0.2
    """A number, or a share of the trials."""
    jitter: float | None = None
    """Seconds; None for what the experiment says."""
    slo: Path | None = None
    """A file of objectives; None for the experiment's own."""


def run(path: Path, out: Path | None, seed: int | None, grafana_url: str | None, asked: SeriesOptions) -> int:
    """Run a series of trials, write its reports, print what it came to; returns the exit code.

    Whatever ends it early, the trials that were finished are reported.
    """
    experiment = read_experiment(path, asked.slo)
    require_sound(experiment)
    if experiment.spec.observes:
        raise InputError(f"{path}: expected an experiment with a fault: trials of nothing show nothing")
    grafana = commands.annotations(grafana_url, experiment.spec.experiment)
    folder = run_folder.create_series(experiment.spec.experiment, out)
    series = TrialSeries(
        experiment,
        Asked(
            asked.trials,
            shams_of(asked.shams, asked.trials),
            asked.jitter,
            commands.chosen_seed(seed, experiment),
        ),
        folder,
        partial(for_stream, sys.stderr),
        versions(),
        grafana,
    )
    with interruptible():
        try:
            series.run()
        finally:
            if folder.trials.is_file():
                record = read_series(folder.trials)
                write_series_reports(folder, record)
                step_summary.append(folder.summary)
                print_series(record, folder)
    return record.exit_code


def report(path: Path) -> int:
    """Judge the raw records of a run, each trial of a series or each level of a load again; rewrite the reports."""
    loaded = load_commands.report(path)
    if loaded is not None:
        return loaded
    folder = SeriesFolder(path)
    if not folder.trials.is_file():
        return commands.report(path)
    record = judged_again(folder)
    write_series_reports(folder, record)
    print_series(record, folder)
    return record.exit_code


def compare(a: Path, b: Path, measures: Sequence[str] | None, out: Path | None) -> int:
    """Say in what two series differ; returns the exit code."""
    found = comparison.compare(loading.read_sample(a), loading.read_sample(b), measures or MEASURES)
    if out is not None:
        found.write(out)
    terminal.print_comparison(found)
    return found.exit_code


def trend(
    folders: Sequence[Path], experiment: str | None, measures: Sequence[str] | None, html: Path | None
) -> int:
    """Show series and runs over time; returns the exit code."""
    found = trends.trend(loading.read_samples(folders, experiment), measures or MEASURES)
    if html is not None:
        try:
            html.write_text(trend_page.render(found), encoding="utf-8", errors="replace")
        except OSError as error:
            raise InputError(f"{html}: {error.strerror}") from error
    terminal.print_trend(found)
    return comparison.exit_code(found.last)
