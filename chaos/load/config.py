"""What an experiment means for its load: the words of its file into one `LoadConfig`."""

from chaos.errors import RefusedError
from chaos.experiment.experiment import Experiment
from chaos.load.process import LoadConfig
from chaos.run_folder import RunFolder
from chaos.targets import Endpoints, Target
from loadtests.endpoint import Endpoint, first_model
from loadtests.spec import Offered

_API_KEY = "OPENAI_API_KEY"
"""Where the load looks for it: a command line would show it to everybody on the machine."""


def load_config(
    experiment: Experiment, folder: RunFolder, target: Target, model: str, rate_per_s: float
) -> LoadConfig:
    """The load of a run, sent to its target at this rate."""
    load = experiment.spec.load
    endpoints = target.endpoints()
    key = {_API_KEY: endpoints.api_key} if endpoints.api_key else {}
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


def served_model(endpoints: Endpoints) -> str:
    """The model to ask for: the target's own, or the first that the service lists.

    Raises:
        RefusedError: it does not answer, or lists none.
    """
    if endpoints.model is not None:
        return endpoints.model
    try:
        return first_model(Endpoint.parse(endpoints.url, endpoints.api_key))
    except ValueError as error:
        raise RefusedError(f"the service lists no model: {error}") from error
