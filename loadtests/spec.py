"""The load, declared once: every setting with its type, default, bounds and meaning.

Everything that spells a setting is made from these models: Locust's options and web form (`loadtests.settings`), the
`load:` section of an experiment (`chaos.experiment.file`), what a run hands to it (`chaos.load.process`). A test holds
the rows of docs/experiment-file.md to them. Neither Locust nor gevent in here: the analysis imports it.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, JsonValue, model_validator

from loadtests.canaries import Canaries
from loadtests.declared import Count, Declared, Option, PerSecond, Process, Seconds
from loadtests.traffic import mix as mixes
from loadtests.traffic.lengths import Lengths, TokenCount
from loadtests.traffic.mix import SHARED_PREFIX, Part
from loadtests.traffic.rate_profile import RateProfile
from loadtests.traffic.sessions import Sessions
from loadtests.traffic.traces import Trace

__all__ = [
    "SHARED_PREFIX",
    "LoadSpec",
    "Offered",
    "Option",
    "Process",
    "Timeouts",
    "misfits",
    "too_fast",
    "too_many",
]


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
    """random gaps between requests, even ones, or gamma ones with a `burstiness`"""
    burstiness: Annotated[float, Field(gt=0), Option("--burstiness")] = 1.0
    """shape of the gamma distribution: 1 is Poisson, less is burstier; the gaps' CV is 1 / sqrt(burstiness)"""
    batch_every_s: Annotated[Seconds | None, Option("--batch-every", shown=False)] = None
    """requests wait for the next multiple of this time, and leave together"""
    rate_profile: Annotated[RateProfile | None, Option("--rate-profile", shown=False)] = None
    """how the rate changes over time, as a factor of `rate`; absent: not at all"""
    prompt_tokens: Annotated[TokenCount, Option("--prompt-tokens")] = 64
    """length of each prompt"""
    output_tokens: Annotated[TokenCount, Option("--output-tokens")] = 32
    """length of each answer"""
    length_scale: Annotated[float, Field(gt=0), Option("--length-scale", shown=False)] = 1.0
    """all lengths times this: for a model whose context holds less than the traffic had"""
    shared_prefix: Annotated[float, Field(ge=0, le=1), Option("--shared-prefix", shown=False)] = SHARED_PREFIX
    """share of each prompt that all prompts begin with, for prefix caches to hit"""
    sessions: Annotated[Sessions | None, Option("--sessions", shown=False)] = None
    """conversations in place of single requests; partly open: their later turns wait for answers"""
    trace: Annotated[Trace | None, Option("--trace", shown=False)] = None
    """a recorded trace to replay, in place of rate, arrivals and lengths"""
    mix: Annotated[
        tuple[Part, ...] | None, Field(strict=False, min_length=1), Option("--mix", shown=False)
    ] = None
    """parts of the traffic, each with its share of the rate, for claims about one of them"""
    canaries: Annotated[Canaries | None, Option("--canaries", shown=False)] = None
    """prompts whose right answer is known, or learnt in the baseline, among the requests; absent: none"""
    ignore_eos: Annotated[bool, Option("--ignore-eos", by_hand=False)] = True
    """ask for answers of exactly that length, which is an extension of inference engines: others refuse it"""
    body: Annotated[Mapping[str, JsonValue] | None, Option("--body", shown=False)] = None
    """keys that every request has besides, such as `{temperature: 0}`; null leaves one out, such as `stream_options`"""
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
        if self.rate_from_per_s and (
            self.arrivals == "gamma" or self.rate_profile or self.sessions or self.mix
        ):
            raise ValueError("--rate-from goes with --arrivals constant or poisson alone")
        if self.summary_path and not self.rows_path:
            raise ValueError("--summary is made from rows: it needs --rows")
        if (expected := too_fast(self, self.rate_per_s)) is not None:
            raise ValueError(f"--rate: expected {expected}, not {self.rate_per_s}")
        for name, expected, value in misfits(self):
            raise ValueError(
                f"--{name.removesuffix('_s').replace('_', '-')}: expected {expected}, not {value}"
            )
        return self


MOST_PER_S = 10_000.0
"""More than this no process of the load comes to send a second, on any machine: a request costs it 0.1 ms and more."""
MOST_ARRIVALS = 10_000_000
"""Of one plan, which its readers keep in memory."""
OWN_KEYS = frozenset({"model", "messages", "stream"})
"""Of a request's body: what the load cannot do without."""


def misfits(load: Offered) -> Iterator[tuple[str, str, object]]:
    """What of a load does not go together: a setting, what was expected of it, and its value."""
    own = sorted(OWN_KEYS.intersection(load.body or ()))
    yield from [("body", "none of the keys that the load sets itself (model, messages, stream)", own)] * bool(
        own
    )
    if load.burstiness != 1.0 and load.arrivals != "gamma":
        yield (
            "burstiness",
            f"none with {load.arrivals} arrivals: it is the shape of gamma ones",
            load.burstiness,
        )
    if load.sessions is not None and load.batch_every_s is not None:
        yield "batch_every_s", "none with sessions: their turns leave one by one", load.batch_every_s
    if load.sessions is not None and load.shared_prefix != SHARED_PREFIX:
        said = "none with sessions: they share system_prompt_tokens and their own past"
        yield "shared_prefix", said, load.shared_prefix
    if load.canaries is not None and load.sessions is not None:
        yield "canaries", "none with sessions: each of their prompts goes on from the one before", "some"
    if load.mix is not None and (expected := mixes.misfits(load.mix)):
        yield "mix", expected, " + ".join(f"{100 * part.share:g}%" for part in load.mix)
    if load.trace is not None:
        yield from _misfits_of_a_trace(load)


def too_fast(load: Offered, rate_per_s: float) -> str | None:
    """What was expected of a rate that is sure to be more than the load's processes can send."""
    most_per_s = MOST_PER_S * load.processes
    if rate_per_s <= most_per_s:
        return None
    return f"at most {most_per_s:.0f} requests a second from {load.processes} of the load's processes"


def too_many(rate_per_s: float, duration_s: float) -> str | None:
    """What was expected of a rate at which a plan of this length is too large."""
    if rate_per_s * duration_s <= MOST_ARRIVALS:
        return None
    most_per_s = math.floor(1000 * MOST_ARRIVALS / duration_s) / 1000
    return (
        f"at most {most_per_s:g} requests a second: {duration_s:g} s hold {MOST_ARRIVALS:,} of them at most"
    )


def _misfits_of_a_trace(load: Offered) -> Iterator[tuple[str, str, object]]:
    for name in ("rate_profile", "sessions", "batch_every_s", "mix", "canaries"):
        if getattr(load, name) is not None:
            yield name, "none with a trace, which has its own instants", "one"
    if load.arrivals != "poisson":
        yield "arrivals", "none with a trace, which has its own instants", load.arrivals
    for name in ("prompt_tokens", "output_tokens"):
        if isinstance(getattr(load, name), Lengths):
            yield name, "none with a trace, which has its own lengths (length_scale changes them)", "one"
