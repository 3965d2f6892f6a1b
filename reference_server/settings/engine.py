"""How requests are scheduled and what one step may take."""

from dataclasses import dataclass
from typing import Annotated

from exporters.slo import ITL_BOUND_S
from reference_server.settings.setting import COUNT, SECONDS, SOME_SECONDS, Setting, one_of


@dataclass(frozen=True)
class EngineSettings:
    """The scheduler, and the step that it plans."""

    scheduling: Annotated[
        str,
        Setting(
            "DS_SCHEDULING",
            one_of("none", "window", "continuous"),
            "none: one request at a time; window: batches of DS_WINDOW_SIZE at most, gathered for at most "
            "DS_WINDOW_SECONDS and run to their end; continuous: whoever fits joins at the next step",
        ),
    ] = "continuous"
    window_size: Annotated[int, Setting("DS_WINDOW_SIZE", COUNT, "requests of a window's batch")] = 32
    window_s: Annotated[
        float, Setting("DS_WINDOW_SECONDS", SECONDS, "how long a window is open for its first request")
    ] = 0.1
    max_running: Annotated[int, Setting("DS_MAX_RUNNING", COUNT, "requests computed at once")] = 32
    max_context: Annotated[
        int,
        Setting(
            "DS_MAX_CONTEXT", COUNT, "tokens of prompt and answer together, at most what the model allows"
        ),
    ] = 1024
    step_tokens: Annotated[
        int, Setting("DS_STEP_TOKENS", COUNT, "tokens computed in one step: longer prompts take several")
    ] = 128
    itl_s: Annotated[
        float,
        Setting(
            "DS_ITL_SECONDS",
            SOME_SECONDS,
            "while answers are generated, a step has only as many tokens of prompts as keep it this short by "
            "what steps took before, or a quarter of DS_STEP_TOKENS where that is more",
        ),
    ] = ITL_BOUND_S
    min_step_s: Annotated[
        float,
        Setting(
            "DS_MIN_STEP_SECONDS",
            SECONDS,
            "every engine step takes at least this long: the step time of a big model on a small machine. "
            "Tokens are computed at once and withheld; latencies are then modelled, not measured",
        ),
    ] = 0.0
