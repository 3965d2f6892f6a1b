"""The command line of the dashboards: `python -m dashboards`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dashboards import build
from dashboards.engines import REFERENCE_ENGINE, Engine, engine_of
from dashboards.grafana import push
from dashboards.grafana.client import TOKEN_VARIABLE, Grafana, GrafanaError
from dashboards.rules import files as rule_files
from exporters import slo
from exporters.profiles.library import profile, profiles
from exporters.slo_file import SloFileError, read_slo

_EXAMPLES = """\
examples:
  python -m dashboards build             write dashboards/generated/ after a change in dashboards/
  python -m dashboards build --check     exit 1 when a generated file is not what the code says
  python -m dashboards build --engine vllm --to /etc/grafana/dashboards
  python -m dashboards build --engine vllm --slo slo.yaml --to grafana --rules prometheus
  python -m dashboards push --engine vllm --url http://localhost:3000 --token glsa_... --dry-run

exit codes: 0 done, 1 a dashboard breaks a rule, a file is stale, or Grafana refused, 2 wrong usage
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code: 0 done, 1 wrong, stale or refused, 2 wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        objectives = slo.OBJECTIVES if options.slo is None else read_slo(options.slo)
    except SloFileError as error:
        print(error, file=sys.stderr)
        return 2
    engine = engine_of(profile(options.engine), objectives)
    if options.command == "push":
        return _push(options, engine)
    if options.to is not None or options.rules is not None:
        return _write_own(engine, options.to, options.rules)
    if options.slo is not None:
        parser.error("--slo is about files of your own: expected --to DIR, --rules DIR or both with it")
    return _build(options.root, check=options.check)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dashboards",
        description="Grafana dashboards and Prometheus rules, generated from Python.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    built = commands.add_parser("build", help="write the generated files, or check them")
    _add_build(built)
    pushed = commands.add_parser(
        "push", help="send the dashboards to a Grafana, replacing those of the same uid"
    )
    _add_push(pushed)
    for command in (built, pushed):
        command.add_argument(
            "--engine",
            choices=[known.engine for known in profiles()],
            default=REFERENCE_ENGINE,
            help="whose series the panels ask for (default: %(default)s)",
        )
        command.add_argument(
            "--slo",
            type=Path,
            metavar="FILE",
            help="objectives of your own, for lines, shares, burn rates and alerts (docs/slo.md; default: the demo's)",
        )
    return parser


def _add_build(built: argparse.ArgumentParser) -> None:
    built.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    built.add_argument(
        "--root", type=Path, default=Path(), help="the repository (default: the folder one is in)"
    )
    built.add_argument(
        "--to",
        type=Path,
        metavar="DIR",
        help="write the dashboards of --engine into this folder, and nothing else",
    )
    built.add_argument(
        "--rules",
        type=Path,
        metavar="DIR",
        help="write the rules of --engine into this folder: for Prometheus, for a run, for the operator",
    )


def _add_push(pushed: argparse.ArgumentParser) -> None:
    pushed.add_argument("--url", required=True, help="of Grafana, with its path if it has one")
    pushed.add_argument(
        "--token",
        default=os.environ.get(TOKEN_VARIABLE),
        required=TOKEN_VARIABLE not in os.environ,
        help=f"of a service account with the role Editor (default: ${TOKEN_VARIABLE})",
    )
    pushed.add_argument("--dry-run", action="store_true", help="write nothing; say what would be done")


def _build(root: Path, *, check: bool) -> int:
    files = build.texts()
    if wrong := build.problems():
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
            "hint: run `python -m dashboards build`, and delete what no code writes any more",
            file=sys.stderr,
        )
    return 1 if stale else 0


def _write_own(engine: Engine, pages: Path | None, rules: Path | None) -> int:
    """What one engine's operator wants, where they want it."""
    if pages is not None:
        files = build.pages(engine)
        build.write(files, pages)
        print(f"wrote {len(files)} dashboards of {engine.profile.title} to {pages}")
    if rules is not None:
        files = rule_files.own_files(engine)
        build.write(files, rules)
        print(f"wrote {len(files)} files of rules for {engine.profile.title} to {rules}")
    return 0


def _push(options: argparse.Namespace, engine: Engine) -> int:
    try:
        grafana = Grafana(options.url, options.token, timeout_s=push.TIMEOUT_S)
        version = push.check_version(grafana)
        texts = build.pages(engine)
        for pushed in push.push(grafana, texts, dry_run=options.dry_run):
            print(f"{pushed.title}: {pushed.action}, {pushed.url}")
    except GrafanaError as error:
        print(error, f"hint: {error.hint}" if error.hint else "", sep="\n", file=sys.stderr)
        return 1
    print(f"{'would send' if options.dry_run else 'sent'} {len(texts)} dashboards to Grafana {version}")
    return 0
