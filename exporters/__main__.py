"""`python -m exporters`."""

import sys


def _main() -> int:
    """Run it; where a package is missing that it is made of, as in a tree that nobody set up, say so in one line."""
    try:
        from exporters.cli import main

        return main()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("exporters", "loadtests"):
            raise
        missing = error.name.partition(".")[0]
        print(
            f"python -m exporters: the package {missing} is not installed for {sys.executable}\n"
            "hint: `make setup` in the repository, then `. .venv/bin/activate`",
            file=sys.stderr,
        )
        return 2


sys.exit(_main())
