"""Print what has to be installed beside aftershock itself, for `run`, `dev` or an image: one requirement a line.

pip could read the same from the project, but would build the project for it, with what is only about to be fetched.
"""

import sys
import tomllib
from pathlib import Path

EXTRAS = {
    "run": ["server", "dashboards", "cluster", "lint"],  # what the README has typed after the demo
    "dev": ["server", "trained", "gpu", "dashboards", "cluster", "lint"],
    # Of the images in deploy/docker.
    "server": ["server"],
    "cuda": ["server", "trained", "gpu"],
    "load": [],
    "runner": ["cluster"],
}
BESIDE = {
    # uv unpacks each wheel once per machine, where pip does for each clone.
    # pytest refuses options of ours that no plugin knows.
    "run": ["uv", "pytest", "pytest-timeout"],
    "dev": ["uv"],
}


def main(what: str) -> None:
    """Everything that pyproject.toml names, and what installs it."""
    pyproject = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        "pip",
        "editables",
        *pyproject["build-system"]["requires"],
        *pyproject["project"]["dependencies"],
    ]
    for extra in EXTRAS[what]:
        wanted += pyproject["project"]["optional-dependencies"][extra]
    wanted += BESIDE.get(what, [])
    if what == "dev":
        wanted += pyproject["dependency-groups"]["dev"]
    print(*wanted, sep="\n")


main(sys.argv[1])
