"""The options of `aftershock lint`; whatever it needs is imported when it is asked for."""

import argparse
from pathlib import Path

from chaos.options import Verbs

_VERSION = "1.36"
_EPILOG = """\
examples:
  aftershock lint deploy/
  aftershock lint deploy/ chaos/manifests --kubernetes-version 1.33 --format github
  helm template CHART > rendered.yaml && aftershock lint rendered.yaml --skip no-requests

exit codes:
  0    clean, or advice alone
  1    at least one error was found
  2    a file could not be read, or an option is wrong
"""


def add_lint(verbs: Verbs) -> None:
    """Add the command."""
    lint = verbs.add_parser(
        "lint",
        help="check Kubernetes manifests of an inference cluster",
        description=(
            "Hold manifests to the schemas of their kinds and to rules of what goes wrong in inference clusters. "
            "All files given are looked at together: who refers to whom matters. Touches nothing."
        ),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    lint.add_argument("files", type=Path, nargs="*", metavar="PATH", help="a file, or a folder of such")
    lint.add_argument(
        "--format", choices=("text", "json", "github"), default="text", help="default: %(default)s"
    )
    lint.add_argument(
        "--rule", action="append", default=[], metavar="NAME", help="this rule alone; may be repeated"
    )
    lint.add_argument(
        "--skip", action="append", default=[], metavar="NAME", help="not this rule; may be repeated"
    )
    lint.add_argument(
        "--kubernetes-version",
        default=_VERSION,
        metavar="X.Y",
        help="that they are for (default: %(default)s)",
    )
    lint.add_argument("--list", action="store_true", help="say every rule and why, and look at nothing")
    lint.set_defaults(command=_lint)


def _lint(given: argparse.Namespace) -> int:
    from chaos.lint.linting import lint

    return lint(given)
