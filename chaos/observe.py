"""What `aftershock observe` and `aftershock load` ask for, as an experiment that injects nothing: written, and read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chaos.experiment.experiment import Experiment, read_experiment
from chaos.experiment.objectives import spelled_out
from chaos.reading import documents
from chaos.reading.quantities import CapacityShare, duration_text
from chaos.run_folder import RunFolder
from exporters.slo import E2E_BOUND_S, TTFT_BOUND_S, Objective
from loadtests.spec import Offered, Process

NAME = "observe"
_WARMUP_S = 2.0
_WINDOW_S, _LONGEST_WINDOW_S = 2.0, 5.0
_ARRIVALS_OF_A_WINDOW, _FEWEST_OF_A_WINDOW = 100, 3
_GIVE_UP_AFTER = 2.0
"""The client gives a request up after so many times its objective: it is bad already."""
_LEAST_TTFT_TIMEOUT_S, _LEAST_DEADLINE_S = 2.0, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What to watch, and how."""

    url: str
    rate: float | CapacityShare = 10.0
    lasts_s: float = 60.0
    ttft_s: float = TTFT_BOUND_S
    e2e_s: float = E2E_BOUND_S
    objectives: tuple[Objective, ...] = ()
    """Of a file, as it has them; `ttft_s` and `e2e_s` come before its bounds. None: those two alone."""
    prompt_tokens: int = Offered.model_fields["prompt_tokens"].default
    output_tokens: int = Offered.model_fields["output_tokens"].default
    model: str | None = None
    api_key_env: str | None = None
    ignore_eos: bool = Offered.model_fields["ignore_eos"].default
    body: Mapping[str, Any] | None = None
    """What every request has besides."""
    metrics: tuple[str, ...] = ()
    seed: int = 0
    experiment: str = NAME
    assertion: str = "disturbances == 0"
    hypothesis: str = "Nothing disturbs the service at {url} for {lasts}."
    arrivals: Process = "constant"
    """Evenly, so that no window is without an arrival and the resolution is the same everywhere."""


def write_observation(asked: Observation, folder: RunFolder, *, versions: Mapping[str, str]) -> Experiment:
    """The observation as an experiment in its run folder, which can be run again as it is.

    Raises:
        InputError: naming file, line, key path, value and what was expected.
    """
    folder.experiment.write_text(documents.dump(_values(asked, versions)), encoding="utf-8")
    return read_experiment(folder.experiment)


def _values(asked: Observation, versions: Mapping[str, str]) -> dict[str, Any]:
    service = {
        "url": asked.url,
        "model": asked.model,
        "api_key_env": asked.api_key_env,
        "metrics": list(asked.metrics),
    }
    window_s = _window_s(asked.rate)
    return {
        "experiment": asked.experiment,
        "hypothesis": asked.hypothesis.format(url=asked.url, lasts=duration_text(asked.lasts_s)),
        "seed": asked.seed,
        "target": {"external": {key: value for key, value in service.items() if value is not None}},
        "load": {
            "rate": str(asked.rate) if isinstance(asked.rate, CapacityShare) else asked.rate,
            "arrivals": asked.arrivals,
            "prompt_tokens": asked.prompt_tokens,
            "output_tokens": asked.output_tokens,
            "ignore_eos": asked.ignore_eos,
            **({"body": dict(asked.body)} if asked.body else {}),
            "timeouts": {
                "ttft": duration_text(max(_GIVE_UP_AFTER * asked.ttft_s, _LEAST_TTFT_TIMEOUT_S)),
                "deadline": duration_text(max(_GIVE_UP_AFTER * asked.e2e_s, _LEAST_DEADLINE_S)),
            },
        },
        "phases": {
            "warmup": duration_text(_WARMUP_S),
            "baseline": "0s",
            "observe": duration_text(asked.lasts_s),
        },
        "faults": [],
        "slo": spelled_out(asked.objectives, ttft=asked.ttft_s, e2e=asked.e2e_s),
        "recovery": {
            "window": duration_text(window_s),
            "hold": duration_text(max(window_s, _LONGEST_WINDOW_S)),
        },
        "assertions": [asked.assertion],
        "versions": dict(versions),
    }


def _window_s(rate: float | CapacityShare) -> float:
    """Long enough that a few slow requests are not a disturbance, where the rate allows that."""
    if isinstance(rate, CapacityShare):
        return _LONGEST_WINDOW_S
    wanted_s = min(max(_ARRIVALS_OF_A_WINDOW / rate, _WINDOW_S), _LONGEST_WINDOW_S)
    return max(wanted_s, _FEWEST_OF_A_WINDOW / rate)
