"""`python -m chaos` is `aftershock`."""

import os
import sys
from pathlib import Path


def _main() -> int:
    """Run it; where a package is missing that it is made of, as in a tree that nobody set up, say so in one line."""
    try:
        from chaos.cli import main

        return main()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("chaos", "loadtests"):
            raise
        missing = error.name.partition(".")[0]
        print(
            f"aftershock: the package {missing} is not installed for {sys.executable}\n"
            "hint: `make setup` in the repository, then `. .venv/bin/activate`",
            file=sys.stderr,
        )
        return 2


def _share_the_tree() -> None:
    """Let the processes of a run find this package where it is not installed, but lies in the current folder."""
    tree = str(Path(__file__).parent.parent)
    if tree not in sys.path[1:]:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (tree, os.environ.get("PYTHONPATH"))))


_share_the_tree()
sys.exit(_main())
