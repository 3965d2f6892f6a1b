"""What an experiment means for its load: the words of its file into one `LoadConfig`."""

import json
import urllib.error
import urllib.request

from chaos.errors import RefusedError
from chaos.experiment.experiment import Experiment
from chaos.load import LoadConfig
from chaos.run_folder import RunFolder
from chaos.targets import Target
from loadtests.spec import Offered


def load_config(
    experiment: Experiment, folder: RunFolder, target: Target, model: str, rate_per_s: float
) -> LoadConfig:
    """The load of a run, sent to its target at this rate."""
    load, phases = experiment.spec.load, experiment.spec.phases
    return LoadConfig(
        **{name: getattr(load, name) for name in Offered.model_fields},
        url=target.endpoints().url,
        marks=target.marks,
        model=model,
        rate_per_s=rate_per_s,
        seed=experiment.spec.seed or 0,
        duration_s=phases.warmup_s + phases.baseline_s + phases.observe_s,
        drain_s=load.timeouts.deadline_s,
        plan_path=folder.plan,
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
