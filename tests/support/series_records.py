"""Made-up series: trials with the figures that a test is about, and their record in a folder."""

import math
from collections.abc import Sequence
from pathlib import Path

import yaml

from chaos.errors import ExitCode
from chaos.record.trials import Series, Trial, TrialAssertion, TrialState
from chaos.record.verdict import Verdict
from chaos.run_folder import SeriesFolder
from chaos.trials.summarising import SeriesFacts, summarise

EXPRESSION = "recovery.service <= 15s"
MANIFEST = {"apiVersion": "chaos-mesh.org/v1alpha1", "kind": "PodChaos", "spec": {"value": "30"}}


def trial(
    number: int,
    service_s: float | None = 1.0,
    verdict: Verdict = Verdict.PASSED,
    *,
    sham: bool = False,
    within_s: float = 25.0,
) -> Trial:
    """A finished trial; service and capacity are alike, and lie within a tenth of a second."""
    status = "unknown" if service_s is None else "no impact" if service_s == 0 else "recovered"
    if service_s == math.inf:
        status = "not recovered"
    interval = (service_s - 0.05, service_s + 0.05) if service_s and service_s < math.inf else None
    return Trial(
        number=number,
        folder=f"trial-{number:02}",
        sham=sham,
        seed=number,
        fault_after_s=0.1,
        state=TrialState.FINISHED,
        verdict=verdict,
        exit_code={"passed": ExitCode.PASSED, "deviated": ExitCode.DEVIATED}.get(
            verdict, ExitCode.INCONCLUSIVE
        ),
        started_at="2026-01-01T00:00:00+00:00",
        took_s=100,
        targets=("server-a", "server-b"),
        within_s=within_s,
        service_s=service_s,
        service_interval_s=interval,
        service_status=status,
        capacity_s=service_s,
        capacity_interval_s=interval,
        capacity_status=status,
        lost_requests=3,
        assertions=(TrialAssertion(expression=EXPRESSION, verdict=verdict, observed=service_s),),
    )


def planned(number: int, *, sham: bool = False) -> Trial:
    """A trial that was never run."""
    state = TrialState.PLANNED
    return Trial(number=number, folder=f"trial-{number:02}", sham=sham, seed=number, state=state)


def record(
    trials: Sequence[Trial], *, started_at: str = "2026-01-01T00:00:00+00:00", name: str = "kill"
) -> Series:
    """What such trials come to."""
    return summarise(facts(started_at, name), trials)


def facts(started_at: str = "2026-01-01T00:00:00+00:00", name: str = "kill") -> SeriesFacts:
    """Of a series of kills."""
    return SeriesFacts(
        experiment=name,
        hypothesis="A kill is survived.",
        target="local",
        seed=7,
        jitter_s=2,
        started_at=started_at,
        versions={"aftershock": "1.0"},
        expressions=[EXPRESSION],
    )


def write_series(
    path: Path,
    recoveries_s: Sequence[float | None],
    *,
    started_at: str = "2026-01-01T00:00:00+00:00",
    name: str = "kill",
    replicas: int = 10,
    within_s: float = 25.0,
) -> Path:
    """The folder of a series of trials that recovered after so long."""
    path.mkdir(parents=True)
    trials = [trial(number, s, within_s=within_s) for number, s in enumerate(recoveries_s, 1)]
    record(trials, started_at=started_at, name=name).write(SeriesFolder(path).trials)
    experiment = {
        "experiment": name,
        "hypothesis": f"{path.name} is survived.",
        "seed": len(path.name),
        "target": {"local": {"replicas": replicas}},
        "fault": {"manifest": "manifest.yaml", "max_targets": 3},
    }
    (path / "experiment.yaml").write_text(yaml.safe_dump(experiment))
    (path / "manifest.yaml").write_text(yaml.safe_dump(MANIFEST))
    return path
