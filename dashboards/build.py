"""The generated files: rendered by pure functions, committed, and checked against them."""

import json
from collections.abc import Mapping
from pathlib import Path

from dashboards.boards.catalogue import dashboards
from dashboards.checks.dashboards import dashboard_problems
from dashboards.engines import REFERENCE, Engine, engines
from dashboards.grafana.classic import render
from dashboards.rules import files as rule_files

GENERATED = "dashboards/generated"


def texts() -> dict[str, str]:
    """Every generated file: its path relative to the repository, and its text."""
    return {**{f"{GENERATED}/{name}": text for name, text in pages(REFERENCE).items()}, **rule_files.render()}


def pages(engine: Engine) -> dict[str, str]:
    """The dashboards of one engine as Classic JSON, by the name of their file."""
    return {f"{name}.json": render(dashboard) for name, dashboard in dashboards(engine).items()}


def problems() -> list[str]:
    """What is wrong with the dashboards of any engine, each with its file."""
    return [
        f"{engine.runtime}: {name}: {problem}"
        for engine in engines()
        for name, text in pages(engine).items()
        for problem in dashboard_problems(json.loads(text))
    ]


def write(files: Mapping[str, str], root: Path) -> None:
    """Write the files below `root`."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def stale(files: Mapping[str, str], root: Path) -> list[str]:
    """The paths whose committed text is not what the code says, and files that no code writes any more."""
    known = {root / path for path in files}
    there = (path for path in (root / GENERATED).rglob("*") if path.suffix in (".json", ".yaml"))
    orphans = [path for path in there if path not in known]
    differing = [path for path, text in files.items() if not _says(root / path, text)]
    return differing + [str(path.relative_to(root)) for path in orphans]


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text
