"""The generated files: rendered by pure functions, committed, and checked against them."""

import json
from collections.abc import Mapping
from pathlib import Path

from dashboards import rules
from dashboards.catalogue import dashboards
from dashboards.grafana import render
from dashboards.lint import dashboard_problems

GENERATED = "dashboards/generated"


def texts() -> dict[str, str]:
    """Every generated file: its path relative to the repository, and its text."""
    pages = {f"{GENERATED}/{name}.json": render(dashboard) for name, dashboard in dashboards().items()}
    return {**pages, **rules.render()}


def problems(files: Mapping[str, str]) -> list[str]:
    """What is wrong with the dashboards among the files, each with its path."""
    pages = {path: json.loads(text) for path, text in files.items() if path.endswith(".json")}
    return [f"{path}: {problem}" for path, page in pages.items() for problem in dashboard_problems(page)]


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
