"""`python -m reference_server`."""

import sys


def _main() -> int:
    """Run it; where a package is missing that it is made of, as in a tree that nobody set up, say so in one line."""
    try:
        from reference_server.cli import main

        return main()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("reference_server", "loadtests"):
            raise
        missing = error.name.partition(".")[0]
        print(
            f"python -m reference_server: the package {missing} is not installed for {sys.executable}\n"
            "hint: `make setup` in the repository, then `. .venv/bin/activate`",
            file=sys.stderr,
        )
        return 2


sys.exit(_main())
