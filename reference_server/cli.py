"""The command line: `python -m reference_server`."""

import argparse
import asyncio
import gc
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from reference_server.config import DECLARED, DEFAULTS, settings_from, unknown_variables
from reference_server.errors import ConfigError

WRONG_INPUT = 2

VERBS = {
    "import-gguf": "a Llama in llama.cpp's file format becomes a folder",
    "quantize": "a folder's matrices become 8 bits wide",
    "prune": "a folder's smallest weights become zeros, step by step",
    "evaluate": "perplexity, size and speed of folders on a text",
    "occupy-gpu": "hold a GPU's memory until so much is free: a fault for others",
    "burn-gpu": "take a GPU's time with products: a fault for others",
}
"""Verbs beside serving, which has none, and what they do: `main` in the module of that name in `tools`."""

STANDBY_FLAGS = {
    "--standby": "serve nothing: import torch once and fork a replica for each `--from` the socket at this path; "
    "`-` is asked over its standard input (docs/standby.md)",
    "--from": "the replica is forked from the standby at this path, and ends with this process",
}

EXAMPLES = """\
Each flag has an environment variable of the same meaning; a flag wins.

verbs (each has --help):
{verbs}

examples:
  A tiny model with random weights, ready in about two seconds:
    python -m reference_server --port 8000
    curl localhost:8000/v1/completions -d '{"prompt": "Hello", "max_tokens": 32, "seed": 1}'

  Behave like a model that takes 30 ms a step, on a machine that could not run one:
    DS_MIN_STEP_SECONDS=0.03 python -m reference_server

  Replicas in a fraction of a second, from a process that has imported torch already:
    python -m reference_server --standby /tmp/ds.sock &
    python -m reference_server --from /tmp/ds.sock --port 8001 --metrics-port 9001

  Your own byte-level Llama:
    python -m reference_server --model-path ./checkpoint --model-name mine

probes and metrics:
  /healthz  200 while the engine makes progress or idles
  /readyz   200 when it can generate and is not draining
  /metrics  on --metrics-port, and on the API's port too, as vLLM has it
  /health, /version  as vLLM has them
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server or a verb; the exit code is 0 after a drain, 1 when the engine failed, 2 for a wrong setting."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        if arguments and arguments[0] in VERBS:
            verb = importlib.import_module(f"reference_server.tools.{arguments[0].replace('-', '_')}")
            verb.main(arguments[1:])
            return 0
        return _serve(arguments)
    except ConfigError as error:
        print(f"reference_server: {error}", file=sys.stderr)
        return WRONG_INPUT


def _serve(argv: Sequence[str]) -> int:
    # Until the model is loaded hardly anything becomes garbage: looking for it would be an eighth of the start.
    gc.disable()
    # numpy's own products are small ones here, for which the threads that its library starts would spin.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    flags = {name: value for name, value in vars(_parser().parse_args(argv)).items() if value is not None}
    standby, front = flags.pop("standby", None), flags.pop("from", None)
    if standby is not None:
        from reference_server.standby import keep_nursery

        return keep_nursery(standby, main)
    settings = settings_from(flags, os.environ)
    if front is not None:
        from reference_server.standby import replica_from

        return replica_from(front, [f"{DECLARED[name].flag}={value}" for name, value in flags.items()])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in unknown_variables(os.environ):
        logging.getLogger(__name__).warning("%s is not a setting of this server: ignored", name)
    # Imported late: --help and a wrong setting need not wait for the HTTP library.
    from reference_server.server import run

    return asyncio.run(run(settings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reference_server",
        description="A small LLM inference server with an OpenAI-compatible API.",
        epilog=EXAMPLES.replace("{verbs}", "\n".join(f"  {verb:12} {what}" for verb, what in VERBS.items())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name, setting in DECLARED.items():
        default = "" if DEFAULTS[name] in (None, "") else f" (default: {DEFAULTS[name]})"
        help_text = f"{setting.purpose}{default} [{setting.variable}]"
        parser.add_argument(setting.flag, dest=name, metavar="VALUE", help=help_text)
    for flag, purpose in STANDBY_FLAGS.items():
        parser.add_argument(flag, metavar="ADDRESS", help=purpose)
    return parser
