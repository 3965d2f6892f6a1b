"""A job of GitHub Actions shows what a step appends to the file of `GITHUB_STEP_SUMMARY`."""

import os
import sys
from pathlib import Path

VARIABLE = "GITHUB_STEP_SUMMARY"
MOST_BYTES = 1024 * 1024
"""Of one step: GitHub drops a longer one whole (docs: Workflow commands, adding a job summary)."""


def append(summary: Path) -> None:
    """Append a run's summary where a job asks for one; a run is not lost because that failed, but it is said.

    Args:
        summary: `summary.md` of a run or a series.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return
    path = Path(named)
    try:
        text = summary.read_bytes() + b"\n"
        there = path.stat().st_size if path.exists() else 0
        if there + len(text) > MOST_BYTES:
            print(f"aftershock: the step summary is full: {summary} is not in it", file=sys.stderr)
            return
        with path.open("ab") as file:
            file.write(text)
    except OSError as error:
        print(f"aftershock: no step summary was written to {path}: {error.strerror}", file=sys.stderr)
