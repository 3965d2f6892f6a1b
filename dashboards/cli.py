"""The command line of the dashboards: `python -m dashboards`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dashboards import build
from dashboards.catalogue import dashboards
from dashboards.grafana import render

_TOKEN = "GRAFANA_TOKEN"  # noqa: S105 - the name of a variable
_EXAMPLES = """\
examples:
  python -m dashboards build             write dashboards/generated/ after a change in dashboards/
  python -m dashboards build --check     exit 1 when a generated file is not what the code says
  python -m dashboards push --url http://localhost:3000 --token glsa_... --dry-run
  python -m dashboards render --prometheus http://localhost:9090 --out pictures --last 15

exit codes: 0 done, 1 a dashboard breaks a rule, a file is stale, Grafana refused, or a picture is wrong, 2 wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code: 0 done, 1 wrong, stale or refused, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    if options.command == "build":
        return _build(options.root, check=options.check)
    if options.command == "render":
        return _render(options.prometheus, options.out, options.last, options.dashboards)
    return _push(options.url, options.token, dry_run=options.dry_run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dashboards",
        description="Grafana dashboards and Prometheus rules, generated from Python.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    built = commands.add_parser("build", help="write the generated files, or check them")
    built.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    built.add_argument(
        "--root", type=Path, default=Path(), help="the repository (default: the folder one is in)"
    )
    push = commands.add_parser(
        "push", help="send the dashboards to a Grafana, replacing those of the same uid"
    )
    push.add_argument("--url", required=True, help="of Grafana, with its path if it has one")
    push.add_argument(
        "--token",
        default=os.environ.get(_TOKEN),
        required=_TOKEN not in os.environ,
        help=f"of a service account with the role Editor (default: ${_TOKEN})",
    )
    push.add_argument("--dry-run", action="store_true", help="write nothing; say what would be done")
    _render_options(commands.add_parser("render", help="draw dashboards as PNG, without a Grafana"))
    return parser


def _render_options(render: argparse.ArgumentParser) -> None:
    render.add_argument("--prometheus", required=True, metavar="URL", help="where the series are")
    render.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the pictures go")
    render.add_argument("--last", type=float, default=15, metavar="MINUTES", help="up to now (default: 15)")
    render.add_argument(
        "dashboards", nargs="*", choices=list(dashboards()), metavar="NAME", help="default: all of them"
    )


def _build(root: Path, *, check: bool) -> int:
    files = build.texts()
    if wrong := build.problems(files):
        print(*wrong, sep="\n", file=sys.stderr)
        return 1
    if not check:
        build.write(files, root)
        print(f"wrote {len(files)} files below {root / build.GENERATED}")
        return 0
    stale = build.stale(files, root)
    for path in stale:
        print(f"{path} is not what the code says", file=sys.stderr)
    if stale:
        print(
            "hint: run `python -m dashboards build`, and delete what is no dashboard any more",
            file=sys.stderr,
        )
    return 1 if stale else 0


def _push(url: str, token: str, *, dry_run: bool) -> int:
    from dashboards.push import (
        Grafana,
        PushError,
    )  # the client library brings an HTTP stack: only who pushes loads it

    try:
        grafana = Grafana(url, token)
        version = grafana.check_version()
        texts = {name: render(dashboard) for name, dashboard in dashboards().items()}
        for pushed in grafana.push(texts, dry_run=dry_run):
            print(f"{pushed.title}: {pushed.action}, {pushed.url}")
    except PushError as error:
        print(error, f"hint: {error.hint}" if error.hint else "", sep="\n", file=sys.stderr)
        return 1
    print(f"{'would send' if dry_run else 'sent'} {len(texts)} dashboards to Grafana {version}")
    return 0


def _render(url: str, out: Path, minutes: float, names: Sequence[str]) -> int:
    from dashboards.drawing import Drawing, DrawingError, draw, install

    now_s = time.time()
    drawings = [
        Drawing(name, url, now_s - 60 * minutes, now_s, out / f"{name}.png") for name in names or dashboards()
    ]
    try:
        install()
        wrong = draw(drawings)
    except DrawingError as error:
        print(error, file=sys.stderr)
        return 1
    print(*wrong, sep="\n", file=sys.stderr)
    print(f"drew {len(drawings)} dashboards into {out}")
    return 1 if wrong else 0
