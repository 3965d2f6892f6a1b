"""What an experiment means for the local target and the load: files' words into specs."""

import json
import urllib.error
import urllib.request
import uuid
from dataclasses import replace
from pathlib import Path

from chaos.errors import RefusedError
from chaos.load import LoadConfig
from chaos.progress import Progress
from chaos.reading.experiment import Experiment
from chaos.reading.experiment_file import ExperimentSpec
from chaos.run_folder import RunFolder
from chaos.targets import Target
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.target import LocalTarget


def local_spec(spec: ExperimentSpec, folder: Path) -> LocalSpec:
    """The cluster that an experiment asks for; its replicas' names follow the seed."""
    local = spec.target.local
    return LocalSpec(
        run_id=f"{spec.experiment}-{uuid.uuid4().hex[:12]}",
        run_folder=folder.absolute(),
        replicas=local.replicas,
        command=local.command,
        env=local.env,
        standby=local.standby_command,
        namespace=local.namespace,
        app=local.app,
        labels=local.labels,
        zones=local.zones,
        readiness=local.probes.readiness.spec,
        liveness=local.probes.liveness.spec,
        ready_within_s=local.ready_within_s,
        name_seed=spec.seed,
    )


def local_target(
    experiment: Experiment, folder: RunFolder, progress: Progress, run_metrics_address: str | None = None
) -> LocalTarget:
    """The target of a run, told to show how many replicas are ready while it starts, and to scrape the run itself."""
    return LocalTarget(
        replace(local_spec(experiment.spec, folder.path), run_metrics_address=run_metrics_address),
        lambda ready, wanted: progress.update(ready=ready, wanted=wanted),
    )


def load_config(
    experiment: Experiment, folder: RunFolder, target: Target, model: str, rate_per_s: float
) -> LoadConfig:
    """The load of a run, sent to its target at this rate."""
    load, phases = experiment.spec.load, experiment.spec.phases
    return LoadConfig(
        url=target.endpoints().url,
        marks=target.marks,
        model=model,
        rate_per_s=rate_per_s,
        arrivals=load.arrivals,
        seed=experiment.spec.seed or 0,
        duration_s=phases.warmup_s + phases.baseline_s + phases.observe_s,
        prompt_tokens=load.prompt_tokens,
        output_tokens=load.output_tokens,
        max_in_flight=load.max_in_flight,
        ttft_timeout_s=load.timeouts.ttft_s,
        stall_timeout_s=load.timeouts.stall_s,
        deadline_s=load.timeouts.deadline_s,
        drain_s=load.timeouts.deadline_s,
        rows_path=folder.requests,
        summary_path=folder.load,
        log_path=folder.logs / "locust.log",
    )


def served_model(url: str) -> str:
    """The first model that the service lists.

    Raises:
        RefusedError: it does not answer, or lists none.
    """
    try:
        with urllib.request.urlopen(f"{url}/v1/models", timeout=10) as answer:  # noqa: S310 - our own gateway
            models = json.load(answer)["data"]
        return str(models[0]["id"])
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise RefusedError(f"the service lists no model at {url}/v1/models: {error!r}") from error
