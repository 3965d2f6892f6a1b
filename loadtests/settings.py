"""The options of a run: on the command line, in Locust's web form, and from master to workers."""

import os
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from loadtests.endpoint import Endpoint
from loadtests.plan import PROCESSES, Plan, Process
from loadtests.progress import Limits

_SHOWN: dict[str, dict[str, Any]] = {
    "--rate": {"type": float, "default": 5.0, "help": "Requests per second"},
    "--rate-from": {
        "type": float,
        "default": 0.0,
        "help": "Where the rate begins to rise; 0: it is constant",
    },
    "--arrivals": {"choices": PROCESSES, "default": "poisson", "help": "Arrival process"},
    "--duration": {"type": float, "default": 60.0, "help": "Seconds over which requests leave"},
    "--seed": {"type": int, "default": 42, "help": "Equal seeds give equal arrivals and prompts"},
    "--model": {"default": "", "help": "Model name; empty: the first that the server lists"},
    "--prompt-tokens": {"type": int, "default": 64, "help": "Prompt length, in bytes of text"},
    "--output-tokens": {"type": int, "default": 32, "help": "Tokens asked for (max_tokens)"},
    "--ignore-eos": {
        "action": "store_true",
        "help": "Ask for exactly that many tokens (vLLM, SGLang, the reference server; others refuse it)",
    },
    "--ttft-timeout": {"type": float, "default": 10.0, "help": "Seconds to the first token"},
    "--stall-timeout": {"type": float, "default": 5.0, "help": "Seconds between two events after it"},
    "--deadline": {"type": float, "default": 30.0, "help": "Seconds for a whole request"},
    "--max-in-flight": {"type": int, "default": 512, "help": "Above it, arrivals are client_dropped"},
}
"""What a person may want to change."""
_HIDDEN: dict[str, dict[str, Any]] = {
    "--drain": {
        "type": float,
        "default": 30.0,
        "help": "Seconds to wait for requests after the last one left",
    },
    "--rows": {"default": "", "help": "File for one JSON row per planned arrival; replaced by each test"},
    "--summary": {"default": "", "help": "File for plan, lag and counts, as JSON; needs --rows"},
    "--exit-with-parent-fd": {
        "type": int,
        "default": -1,
        "help": "End at once when this inherited pipe reaches its end",
    },
}
"""What only programs set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one run asks for."""

    endpoint: Endpoint
    model: str
    """Empty: the first that the server lists."""
    plan: Plan
    prompt_tokens: int
    output_tokens: int
    ignore_eos: bool
    limits: Limits
    max_in_flight: int
    drain_s: float
    rows: Path | None
    summary: Path | None

    @classmethod
    def read(cls, host: str | None, options: Namespace) -> Self:
        """From Locust's host and parsed options.

        Raises:
            ValueError: naming the option that makes no sense.
        """
        for name in ("prompt_tokens", "output_tokens", "max_in_flight"):
            if getattr(options, name) < 1:
                raise ValueError(
                    f"--{name.replace('_', '-')} must be at least 1, not {getattr(options, name)}"
                )
        if options.summary and not options.rows:
            raise ValueError("--summary is made from rows: it needs --rows")
        process: Process = options.arrivals
        return cls(
            endpoint=Endpoint.parse(host or "", os.environ.get("OPENAI_API_KEY", "")),
            model=options.model,
            plan=Plan(process, options.rate, options.duration, options.seed, options.rate_from or None),
            prompt_tokens=options.prompt_tokens,
            output_tokens=options.output_tokens,
            ignore_eos=options.ignore_eos,
            limits=Limits(options.ttft_timeout, options.stall_timeout, options.deadline),
            max_in_flight=options.max_in_flight,
            drain_s=options.drain,
            rows=Path(options.rows) if options.rows else None,
            summary=Path(options.summary) if options.summary else None,
        )


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options; those that a person may want to change show up in the web form."""
    for name, options in _SHOWN.items():
        parser.add_argument(name, **options)
    for name, options in _HIDDEN.items():
        parser.add_argument(name, include_in_web_ui=False, **options)
