"""Every setting of the server, declared once: its environment variable, its flag, its default, what it takes.

The flag of `DS_MIN_STEP_SECONDS` is `--min-step-seconds`, and so on; a flag wins over the environment. A value
that is not understood is refused with its name, the value and what was expected: nothing is guessed.
"""

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

from exporters.slo import ITL_BOUND_S
from reference_server.errors import ConfigError
from reference_server.shards.grid import Grid


class Kind(NamedTuple):
    """How the text of a setting becomes its value; `parse` raises ValueError for what is not `expected`."""

    parse: Callable[[str], Any]
    expected: str


class Setting(NamedTuple):
    """What stands beside a field of `Settings`."""

    variable: str
    kind: Kind
    purpose: str

    @property
    def flag(self) -> str:
        """The variable's name as a flag."""
        return "--" + self.variable.removeprefix("DS_").lower().replace("_", "-")


def _within(number: type[int] | type[float], low: float, high: float) -> Callable[[str], Any]:
    def parse(text: str) -> float:
        value = number(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return parse


def _one_of(*choices: str) -> Kind:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return Kind(parse, " or ".join(choices))


def _text(text: str) -> str:
    if not text:
        raise ValueError
    return text


TEXT = Kind(_text, "a text that is not empty")
PATH = Kind(lambda text: Path(_text(text)), "the path of a folder or a safetensors file")
PORT = Kind(_within(int, 0, 65535), "a port, 0 to 65535 (0 takes a free one)")
COUNT = Kind(_within(int, 1, 1 << 31), "a whole number of at least 1")
SEED = Kind(_within(int, 0, (1 << 63) - 1), "a whole number, 0 to 2^63-1")
SECONDS = Kind(_within(float, 0.0, 86_400.0), "seconds, 0 to 86400")
SOME_SECONDS = Kind(_within(float, 0.001, 86_400.0), "seconds, 0.001 to 86400")


@dataclass(frozen=True, slots=True)
class Settings:
    """How one replica runs."""

    model_path: Annotated[
        Path | None,
        Setting(
            "DS_MODEL_PATH",
            PATH,
            "weights: a Llama folder as Hugging Face lays it out (config.json, model.safetensors or its index, "
            "tokenizer.json unless it is byte-level), or one safetensors file of the shape that "
            "DS_MODEL_NAME names; without it, seeded random weights",
        ),
    ] = None
    model_name: Annotated[
        str | None,
        Setting(
            "DS_MODEL_NAME",
            TEXT,
            "a named shape: tiny (the default), small, 135m, 1b or 8b; for a folder, the name to serve it under",
        ),
    ] = None
    seed: Annotated[int, Setting("DS_SEED", SEED, "seed of random weights: equal seeds, equal models")] = 0
    cache_type: Annotated[
        str,
        Setting(
            "DS_CACHE_TYPE",
            _one_of("memory", "disk", "hybrid"),
            "tiers of the prefix cache; only memory exists yet",
        ),
    ] = "memory"
    cache_megabytes: Annotated[
        int,
        Setting(
            "DS_CACHE_MEGABYTES",
            COUNT,
            "size of the prefix cache's memory tier: how much of the KV cache blocks that no running request holds "
            "may fill, for later ones to find",
        ),
    ] = 512
    cache_ttl_s: Annotated[
        float,
        Setting("DS_CACHE_TTL_SECONDS", SOME_SECONDS, "how long a block can be found after it was written"),
    ] = 60.0
    serving_mode: Annotated[
        str,
        Setting(
            "DS_SERVING_MODE",
            _one_of("stream", "batch"),
            "stream: answers stream where the request asks for it; batch: such requests are refused",
        ),
    ] = "stream"
    host: Annotated[str, Setting("DS_HOST", TEXT, "address that both ports listen on")] = "0.0.0.0"
    port: Annotated[int, Setting("DS_PORT", PORT, "port of the API and the probes /healthz, /readyz")] = 8000
    metrics_port: Annotated[int, Setting("DS_METRICS_PORT", PORT, "port of /metrics")] = 8081
    metrics: Annotated[
        str, Setting("DS_METRICS", _one_of("on", "off"), "off: no instrumentation, to measure what it costs")
    ] = "on"
    replica_name: Annotated[
        str,
        Setting(
            "DS_REPLICA_NAME", TEXT, "said in the header x-aftershock-replica (default: the host's name)"
        ),
    ] = ""
    scheduling: Annotated[
        str,
        Setting(
            "DS_SCHEDULING",
            _one_of("none", "window", "continuous"),
            "none: one request at a time; window: batches of DS_WINDOW_SIZE at most, gathered for at most "
            "DS_WINDOW_SECONDS and run to their end; continuous: whoever fits joins at the next step",
        ),
    ] = "continuous"
    window_size: Annotated[int, Setting("DS_WINDOW_SIZE", COUNT, "requests of a window's batch")] = 32
    window_s: Annotated[
        float, Setting("DS_WINDOW_SECONDS", SECONDS, "how long a window is open for its first request")
    ] = 0.1
    max_running: Annotated[int, Setting("DS_MAX_RUNNING", COUNT, "requests computed at once")] = 32
    max_queue: Annotated[
        int, Setting("DS_MAX_QUEUE", COUNT, "requests that may wait; one more is answered 429")
    ] = 256
    max_context: Annotated[
        int,
        Setting(
            "DS_MAX_CONTEXT", COUNT, "tokens of prompt and answer together, at most what the model allows"
        ),
    ] = 1024
    kv_tokens: Annotated[
        int | None,
        Setting(
            "DS_KV_TOKENS",
            COUNT,
            "positions of the KV cache, in blocks of 16 that running requests and the prefix cache share; when "
            "they run out, the last request to arrive is recomputed later (default: running requests x context)",
        ),
    ] = None
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
    request_s: Annotated[
        float, Setting("DS_REQUEST_SECONDS", SOME_SECONDS, "a request older than this ends as a timeout")
    ] = 600.0
    drain_s: Annotated[
        float,
        Setting("DS_DRAIN_SECONDS", SECONDS, "after SIGTERM, running requests have this long to finish"),
    ] = 30.0
    stall_s: Annotated[
        float,
        Setting(
            "DS_STALL_SECONDS",
            SOME_SECONDS,
            "/healthz and /readyz answer 503 once a step takes this much longer than DS_MIN_STEP_SECONDS, and "
            "longer than 8 times what a step of its tokens took before",
        ),
    ] = 1.5
    tensor_parallel: Annotated[
        int,
        Setting(
            "DS_TENSOR_PARALLEL",
            COUNT,
            "ranks that share every layer, a process and a device each; divides KV heads and feed-forward width",
        ),
    ] = 1
    pipeline_parallel: Annotated[
        int,
        Setting("DS_PIPELINE_PARALLEL", COUNT, "stages of layers, one after the other, each of such ranks"),
    ] = 1
    capture: Annotated[
        str,
        Setting(
            "DS_CAPTURE",
            _one_of("lazy", "start"),
            "when kernels are compiled and CUDA graphs made. start: all that a request can need, before the replica "
            "is ready; lazy: each once steps need it, so that a replica is ready early and its first requests wait",
        ),
    ] = "start"
    torch_threads: Annotated[
        int,
        Setting(
            "DS_TORCH_THREADS",
            COUNT,
            "threads of one CPU operation, and of each rank; replicas that share a machine are better off with 1",
        ),
    ] = min(2, os.cpu_count() or 1)

    @property
    def grid(self) -> Grid:
        """How the model is spread over ranks."""
        return Grid(self.tensor_parallel, self.pipeline_parallel)

    def __post_init__(self) -> None:
        if self.cache_type != "memory":
            raise ConfigError(f"DS_CACHE_TYPE: only memory is available yet, not {self.cache_type!r}")
        if self.step_tokens < self.max_running:
            raise ConfigError(
                f"DS_STEP_TOKENS: at least DS_MAX_RUNNING ({self.max_running}) is expected, "
                f"not {self.step_tokens}"
            )
        if not self.replica_name:
            object.__setattr__(self, "replica_name", socket.gethostname())


DEFAULTS = {field.name: field.default for field in fields(Settings)}
DECLARED: dict[str, Setting] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Settings, include_extras=True).items()
}
"""Every setting by field name, in reading order."""


def settings_from(flags: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """The settings of these flags (by field name) and this environment.

    Raises:
        ConfigError: a value is not understood; the message has its name, the value and what was expected.
    """
    values: dict[str, Any] = {}
    for name, setting in DECLARED.items():
        if name in flags:
            values[name] = _parsed(setting.flag, flags[name], setting.kind)
        elif setting.variable in environ:
            values[name] = _parsed(setting.variable, environ[setting.variable], setting.kind)
    return Settings(**values)


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: misspelt, or another program's with the same prefix."""
    known = {setting.variable for setting in DECLARED.values()}
    return sorted(name for name in environ if name.startswith("DS_") and name not in known)


def _parsed(source: str, text: str, kind: Kind) -> Any:
    try:
        return kind.parse(text)
    except ValueError:
        raise ConfigError(f"{source}: {kind.expected} is expected, not {text!r}") from None
