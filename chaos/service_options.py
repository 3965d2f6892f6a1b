"""The verbs that load a service which runs already, `load` and `observe`: their options, and what they ask for."""

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from chaos import commands, load_commands
from chaos.errors import InputError
from chaos.experiment.objectives import objectives_of
from chaos.load_commands import LoadOptions
from chaos.observe import Observation
from chaos.options import Verbs, count, read_with, seed, url
from chaos.reading.quantities import CapacityShare, load_rate, ratio, seconds_of
from exporters.slo import GOODPUT, named
from loadtests.declared import Process
from loadtests.endpoint import API_KEY, Endpoint, without_key

_OBSERVE_EXAMPLES = """\
examples:
  aftershock observe http://127.0.0.1:8000 --for 5m
  aftershock observe https://llm.example/v1 --api-key-env LLM_KEY --model big --ttft 1s --e2e 20s
"""
_OBSERVE_EXIT_CODES = """\
exit codes:
  0    nothing disturbed it
  1    it was disturbed: the report says when, for how long, and when it was back
  2    the input is wrong
  3    inconclusive: the load could not be offered as planned, or nothing answered from the start
"""
_LOAD = """\
Load a service open loop, with no fault, and say what it does: TTFT, TPOT, ITL and end-to-end latency, tokens per
second, goodput and outcomes. Requests leave when the plan says whatever the server does, latency runs from the planned
instant, and a failure counts as infinitely slow.

With --sweep a short ramp finds about how much the service carries, then each of some eight rates is held for a while
from a tenth of that up, and two more where rates cease to be carried: the report says the highest rate within the
objectives, and the knee, beyond which latency grows faster than throughput. Ctrl-C ends it early, with a report.
"""
_LOAD_EXAMPLES = """\
examples:
  aftershock load http://127.0.0.1:8000 --rate 10                      ten requests a second, for a minute
  aftershock load http://127.0.0.1:8000 --sweep --ttft 300ms --e2e 5s  how much does it carry within these bounds?
  aftershock load http://127.0.0.1:8000 --sweep --rates 1,2,4,8 --for 30s
  aftershock load https://llm.example/v1 --api-key-env LLM_KEY --model big --rate 2 --no-ignore-eos

what is left: performance.json, performance.csv and performance.html in runs/load-UTC, and of each rate its run folder
with the plan, a row per request and a report.

exit codes:
  0    it was measured; the figures say how it went
  2    the input is wrong
  3    inconclusive: the load could not be offered as planned, or nothing answered
"""
_RAW = argparse.RawDescriptionHelpFormatter
_LEVEL_S = 20.0


def add_load(verbs: Verbs) -> None:
    """`aftershock load URL`."""
    load = verbs.add_parser(
        "load",
        help="load a service at one rate or several, with no fault: latencies, tokens/s, goodput, the knee",
        description=_LOAD,
        epilog=_LOAD_EXAMPLES,
        formatter_class=_RAW,
    )
    _add_url(load)
    add = load.add_argument
    add("--sweep", action="store_true", help="several rates in place of one: those that show what it carries")
    add(
        "--rates",
        type=_rates,
        default=(),
        metavar="N,N,...",
        help="the rates of a sweep, in requests per second",
    )
    add(
        "--goal",
        type=read_with(ratio),
        metavar="SHARE",
        help="so many requests must be good for a rate to count as carried (default: goodput of --slo, else 99%%)",
    )
    add(
        "--arrivals",
        choices=get_args(Process)[:2],
        default="poisson",
        help="random gaps between requests, or even ones (default: %(default)s)",
    )
    add("--seed", type=seed, help="equal seeds give equal arrivals and prompts (default: drawn)")
    _add_service(load, lasts="60s, of a sweep 20s each")
    load.set_defaults(command=_load, lasts_s=None)


def add_observe(verbs: Verbs) -> None:
    """`aftershock observe URL`."""
    observe = verbs.add_parser(
        "observe",
        help="load a service that runs already, inject nothing, report every disturbance",
        description=(
            "Load a service open loop and report every stretch in which it was worse than it usually is, with its "
            "start, length and recovery, whoever caused it. Ctrl-C ends it early, with a report."
        ),
        epilog=f"{_OBSERVE_EXAMPLES}\n{_OBSERVE_EXIT_CODES}",
        formatter_class=_RAW,
    )
    _add_url(observe)
    _add_service(observe, lasts="60s")
    observe.set_defaults(command=lambda given: commands.observe(_observation(given), given.out))


def _add_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "url", type=url, metavar="URL", help="base URL of anything OpenAI-compatible, with or without /v1"
    )


def _add_service(parser: argparse.ArgumentParser, lasts: str) -> None:
    """How to load the service, and what of it is good."""
    usual = Observation(url="")
    add = parser.add_argument
    add(
        "--rate",
        type=read_with(load_rate),
        default=usual.rate,
        metavar="N",
        help="requests per second, or '60%% of capacity', found by overloading it for seconds (default: %(default)g)",
    )
    duration = read_with(seconds_of)
    add(
        "--for",
        dest="lasts_s",
        type=duration,
        default=usual.lasts_s,
        metavar="TIME",
        help=f"default: {lasts}",
    )
    add(
        "--ttft",
        type=duration,
        metavar="TIME",
        help=f"good means a first token within it (default: that of --slo, else {usual.ttft_s:g}s)",
    )
    add(
        "--e2e",
        type=duration,
        metavar="TIME",
        help=f"and the whole answer within it (default: that of --slo, else {usual.e2e_s:g}s)",
    )
    add("--slo", type=Path, metavar="FILE", help="what is good, from a file of objectives (docs/slo.md)")
    _add_requests(parser)
    add("--out", type=Path, metavar="DIR", help="run folder (default: runs/NAME-UTC)")


def _add_requests(parser: argparse.ArgumentParser) -> None:
    """What is asked, and of whom."""
    usual = Observation(url="")
    add = parser.add_argument
    add("--prompt-tokens", type=count, default=usual.prompt_tokens, metavar="N", help="default: %(default)s")
    add("--output-tokens", type=count, default=usual.output_tokens, metavar="N", help="default: %(default)s")
    add("--model", help="default: the first that it lists")
    add(
        "--api-key-env",
        metavar="VAR",
        help="variable with the API key (default: OPENAI_API_KEY, if it is set)",
    )
    add("--no-ignore-eos", action="store_true", help="for a service that refuses this key of vLLM and SGLang")
    add(
        "--body",
        type=_json_object,
        metavar="JSON",
        help="keys that every request has besides; null leaves one out",
    )
    add(
        "--metrics",
        action="append",
        default=[],
        metavar="URL",
        help="exposition of a replica; may be repeated",
    )


def _load(given: argparse.Namespace) -> int:
    sweep = given.sweep or bool(given.rates)
    if sweep and isinstance(given.rate, CapacityShare):
        raise InputError(f"--rate is about a load of one rate: expected none with a sweep, got {given.rate}")
    lasts_s = given.lasts_s or (_LEVEL_S if sweep else Observation(url="").lasts_s)
    asked = replace(_observation(given), lasts_s=lasts_s, arrivals=given.arrivals)
    goodput = named(asked.objectives, GOODPUT.name)
    goal = given.goal or (LoadOptions().goal if goodput is None else goodput.share)
    return load_commands.load(asked, LoadOptions(sweep, given.rates, goal, given.seed), given.out)


def _observation(given: argparse.Namespace) -> Observation:
    key = Endpoint.parse(given.url).api_key
    if key and given.api_key_env is None:
        # The way of every key: files and command lines of a run are seen by others, the environment is not.
        os.environ[API_KEY] = key
    objectives = () if given.slo is None else objectives_of(given.slo)
    bounds_s = {each.name: each.bound_s for each in objectives}
    usual = Observation(url="")
    return Observation(
        url=without_key(given.url),
        rate=given.rate,
        lasts_s=given.lasts_s,
        ttft_s=given.ttft or bounds_s.get("ttft") or usual.ttft_s,
        e2e_s=given.e2e or bounds_s.get("e2e") or usual.e2e_s,
        objectives=objectives,
        prompt_tokens=given.prompt_tokens,
        output_tokens=given.output_tokens,
        model=given.model,
        api_key_env=given.api_key_env,
        ignore_eos=not given.no_ignore_eos,
        body=given.body,
        metrics=tuple(given.metrics),
    )


def _json_object(text: str) -> Mapping[str, Any]:
    """Keys of a request's body."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a JSON object, got {text!r}: {error}") from error
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object, got {text!r}")
    return found


def _rates(text: str) -> tuple[float, ...]:
    """Rates in requests per second, each once, from the lowest up."""
    try:
        rates = sorted({float(part) for part in text.split(",")})
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected rates such as 1,2,4,8, got {text!r}") from error
    if not all(0 < rate <= 1e6 for rate in rates):
        raise argparse.ArgumentTypeError(f"expected rates above 0, got {text!r}")
    return tuple(rates)
