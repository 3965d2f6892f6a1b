"""The command line of the exporters: `python -m exporters`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from exporters import commands
from exporters.profiles.library import ProfileError
from exporters.profiles.samples import ExpositionError

_EXAMPLES = """\
examples:
  python -m exporters coverage http://127.0.0.1:8000/metrics   what this engine can and cannot tell
  python -m exporters gpu                                      GPU series of this machine, port 8082
  python -m exporters probe --url http://10.0.0.7:8000 --model tiny
                                                               is it served, as a client sees it? port 8083
  python -m exporters comm --peer 10.0.0.8:8085                round trips between hosts, port 8084
  python -m exporters docs --check    exit 1 when METRICS.md is not what the declarations say
"""
NewCommand = Callable[..., argparse.ArgumentParser]
GPU_PORT, PROBE_PORT, COMM_PORT, RESPOND_PORT = 8082, 8083, 8084, 8085


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code: 0 done, 1 the page is stale, 2 wrong usage or input."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except (commands.CommandError, ProfileError, ExpositionError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m exporters",
        description="Prometheus series of LLM inference servers, and of what surrounds them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_coverage, _add_gpu, _add_probe, _add_comm, _add_docs):
        add(added.add_parser)
    return parser


def _add_coverage(new_command: NewCommand) -> None:
    parser = new_command(
        "coverage",
        help="what an engine's series can tell, and what they cannot",
        description="Detect the engine and print one table: the series of each signal and their limits, "
        "or why there is none.",
    )
    parser.add_argument(
        "source", metavar="URL|FILE", help="an endpoint (/metrics is added to a bare address) or a file"
    )
    parser.add_argument("--engine", help="read it as this engine's, whatever it looks like")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="a profile of your own")
    parser.add_argument("--json", action="store_true", help="values for programs instead of the table")
    parser.set_defaults(
        run=lambda options: commands.show_coverage(
            options.source, engine=options.engine, own=options.profile, as_values=options.json
        )
    )


def _add_gpu(new_command: NewCommand) -> None:
    parser = new_command(
        "gpu",
        help="serve the GPU series of this machine",
        description="Serve the GPU series of this machine, asked of NVML once a second; without a GPU: ds_gpu_up 0.",
    )
    _add_address(parser, GPU_PORT)
    parser.add_argument("--once", action="store_true", help="print the series once and end")
    parser.set_defaults(
        run=lambda options: commands.export_gpus(options.host, options.port, once=options.once)
    )


def _add_probe(new_command: NewCommand) -> None:
    parser = new_command(
        "probe",
        help="send small streaming requests and serve what a client saw",
        description="Send a small streaming request to each server every so often; "
        "serve success, TTFT, TPOT and duration.",
    )
    parser.add_argument("--url", action="append", required=True, help="a server's base URL; may be repeated")
    parser.add_argument("--model", required=True, help="the model to ask for")
    _add_seconds(parser, "--every", 10.0, "pause after a probe")
    _add_seconds(parser, "--timeout", 10.0, "deadline of a probe")
    parser.add_argument(
        "--api-key-env", metavar="NAME", help="the environment variable that holds a bearer key"
    )
    _add_address(parser, PROBE_PORT)
    parser.set_defaults(
        run=lambda options: commands.export_probes(
            commands.probe_targets(options.url, options.model, options.timeout, options.api_key_env),
            every_s=options.every,
            host=options.host,
            port=options.port,
        )
    )


def _add_comm(new_command: NewCommand) -> None:
    parser = new_command(
        "comm",
        help="time round trips between peers",
        description="Time TCP round trips to each peer, answer theirs, and serve the latencies. Run one on each host.",
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="another one's respond port; may be repeated",
    )
    parser.add_argument(
        "--respond-port",
        type=int,
        default=RESPOND_PORT,
        help="port that answers peers (default: %(default)s)",
    )
    _add_seconds(parser, "--every", 1.0, "pause after a trip")
    _add_seconds(parser, "--timeout", 1.0, "deadline of a trip")
    _add_address(parser, COMM_PORT)
    parser.set_defaults(
        run=lambda options: commands.export_comm(
            commands.comm_peers(options.peer),
            respond_port=options.respond_port,
            every_s=options.every,
            timeout_s=options.timeout,
            host=options.host,
            port=options.port,
        )
    )


def _add_docs(new_command: NewCommand) -> None:
    parser = new_command(
        "docs",
        help="write METRICS.md from the declared series, or check it",
        description="Write METRICS.md from the declared series, or check that it is current.",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is stale")
    parser.add_argument(
        "--file", type=Path, default=Path("METRICS.md"), help="the page (default: %(default)s in this folder)"
    )
    parser.set_defaults(run=lambda options: commands.write_page(options.file, check=options.check))


def _add_seconds(parser: argparse.ArgumentParser, flag: str, default: float, meaning: str) -> None:
    parser.add_argument(
        flag, type=_seconds, default=default, metavar="SECONDS", help=f"{meaning} (default: %(default)s)"
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 86400:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, got {text}")
    return value


def _add_address(parser: argparse.ArgumentParser, port: int) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to serve at, 0.0.0.0: all (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=port, help="port to serve at, 0 for a free one (default: %(default)s)"
    )
