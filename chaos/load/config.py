"""What an experiment means for its load: the words of its file into one `LoadConfig`."""

import os

from chaos.errors import RefusedError
from chaos.experiment.experiment import Experiment
from chaos.experiment.file import Load as ExperimentLoad
from chaos.load.process import LoadConfig
from chaos.run_folder import RunFolder
from chaos.targets import Endpoints, Target
from loadtests.endpoint import API_KEY, Endpoint, first_model
from loadtests.spec import Offered


def load_config(
    experiment: Experiment, folder: RunFolder, target: Target, model: str, rate_per_s: float
) -> LoadConfig:
    """The load of a run, sent to its target at this rate."""
    load = experiment.spec.load
    endpoints = target.endpoints()
    secret = _key(endpoints, load)
    key = {API_KEY: secret} if secret else {}
    return LoadConfig(
        **{name: getattr(load, name) for name in Offered.model_fields},
        url=endpoints.url,
        marks={**target.marks, **key},
        model=model,
        rate_per_s=rate_per_s,
        seed=experiment.spec.seed or 0,
        duration_s=experiment.spec.planned_s,
        drain_s=load.timeouts.deadline_s,
        plan_path=folder.plan,
        rows_path=folder.requests,
        summary_path=folder.load,
        log_path=folder.logs / "locust.log",
    )


def served_model(endpoints: Endpoints, load: ExperimentLoad | None = None) -> str:
    """The model to ask for: the experiment's, the target's own, or the first that the service lists.

    Raises:
        RefusedError: it does not answer, or lists none.
    """
    if named := (load and load.model) or endpoints.model:
        return named
    try:
        return first_model(Endpoint.parse(endpoints.url, _key(endpoints, load)))
    except ValueError as error:
        raise RefusedError(f"the service lists no model: {error}") from error


def _key(endpoints: Endpoints, load: ExperimentLoad | None) -> str:
    """The API key, empty where there is none."""
    named = load.api_key_env if load is not None else None
    return os.environ.get(named, "") if named else endpoints.api_key
