"""What an experiment means for its load: the words of its file into one `LoadConfig`."""

import json
import urllib.error
import urllib.request

from chaos.errors import RefusedError
from chaos.experiment.experiment import Experiment
from chaos.load import LoadConfig
from chaos.run_folder import RunFolder
from chaos.targets import Target


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
