"""The load, declared once: every setting with its type, default, bounds and meaning.

Everything that spells a setting is made from these models: Locust's options and web form (`loadtests.settings`), the
`load:` section of an experiment (`chaos.experiment.file`), what a run hands to it (`chaos.load.process`). A test holds
the rows of docs/experiment-file.md to them. Neither Locust nor gevent in here: the analysis imports it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Process = Literal["poisson", "constant"]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
PerSecond = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class Option:
    """How a setting is given to `locust`."""

    flag: str
    by_hand: Any = None
    """What it is for a person who leaves it out, where that is not the setting's own default."""
    shown: bool = True
    """Whether the web form has it: what a person may want to change, and not what only programs set."""
    own: bool = True
    """False for an option that Locust itself declares."""


class Declared(BaseModel):
    """Base of everything declared here: nothing coerced, nothing unknown, nothing changed afterwards."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    def but(self, **changes: Any) -> Self:
        """The same with some values changed.

        Raises:
            ValueError: naming each value that is not allowed, or no setting at all.
        """
        return type(self).model_validate({**dict(self), **changes})


class Timeouts(Declared):
    """When the client gives a request up, each an outcome of its own; all but the stall run from its dispatch."""

    ttft_s: Annotated[Seconds, Option("--ttft-timeout")] = 10.0
    """no first token"""
    stall_s: Annotated[Seconds, Option("--stall-timeout")] = 5.0
    """no further token"""
    deadline_s: Annotated[Seconds, Option("--deadline")] = 30.0
    """the request as a whole"""


class Offered(Declared):
    """What an experiment says of its load, and a person who loads a server by hand."""

    arrivals: Annotated[Process, Option("--arrivals")] = "poisson"
    """random or even gaps between requests"""
    prompt_tokens: Annotated[Count, Option("--prompt-tokens")] = 64
    """length of each prompt"""
    output_tokens: Annotated[Count, Option("--output-tokens")] = 32
    """length of each answer"""
    ignore_eos: Annotated[bool, Option("--ignore-eos", by_hand=False)] = True
    """ask for answers of exactly that length, which is an extension of inference engines: others refuse it"""
    max_in_flight: Annotated[Count, Option("--max-in-flight")] = 512
    """requests beyond this many at once are dropped by the client, and counted"""
    processes: Annotated[Count, Option("--processes", own=False)] = 1
    """how many processes share the plan: more where one cannot keep up"""
    timeouts: Timeouts = Timeouts()
    """when the client gives a request up"""


class LoadSpec(Offered):
    """One load as a whole.

    Raises ValueError (pydantic's) for values that are out of bounds, a ramp that does not rise, and a summary that
    has no rows to be made from.
    """

    url: Annotated[str, Option("--host", own=False)]
    """base URL of an OpenAI-compatible server"""
    model: Annotated[str, Option("--model")] = ""
    """name of the model; empty: the first that the server lists"""
    rate_per_s: Annotated[PerSecond, Option("--rate", by_hand=5.0)]
    """requests per second"""
    rate_from_per_s: Annotated[float, Field(ge=0), Option("--rate-from")] = 0.0
    """where the rate begins, to grow by the same factor each second; 0: it is the same throughout"""
    duration_s: Annotated[Seconds, Option("--duration", by_hand=60.0)]
    """how long requests leave"""
    seed: Annotated[int, Option("--seed", by_hand=42)]
    """equal seeds give equal arrivals and prompts"""
    drain_s: Annotated[float, Field(ge=0), Option("--drain", shown=False)] = 30.0
    """how long what is under way may take after the last request left"""
    plan_path: Annotated[Path | None, Option("--plan", shown=False)] = None
    """file to read the plan from, in place of rate, arrivals, seed and lengths: a line per arrival"""
    rows_path: Annotated[Path | None, Option("--rows", shown=False)] = None
    """file for one JSON row per planned arrival; replaced by each test"""
    summary_path: Annotated[Path | None, Option("--summary", shown=False)] = None
    """file for plan, lag and counts, as JSON; needs --rows"""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.rate_from_per_s and self.rate_from_per_s >= self.rate_per_s:
            raise ValueError(
                f"--rate-from must be below --rate, not {self.rate_from_per_s:g} of {self.rate_per_s:g}"
            )
        if self.summary_path and not self.rows_path:
            raise ValueError("--summary is made from rows: it needs --rows")
        return self
