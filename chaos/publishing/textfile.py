"""What a run came to, where a lasting Prometheus finds it: node_exporter's textfile collector reads a folder of files.

The Prometheus of a local run is gone with the run, and what it had; a file is still there at the next scrape.
"""

import os
import sys
from pathlib import Path

from chaos.errors import InputError


def require_folder(folder: Path) -> Path:
    """The folder, before anything is run for it.

    Raises:
        InputError: there is none, or nothing can be written there.
    """
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(
            f"--textfile: expected a folder that can be written, got {folder}",
            hint="the one that node_exporter was given as --collector.textfile.directory",
        )
    return folder


def publish(series: Path, folder: Path, experiment: str) -> None:
    """Put the series of a run there, in place of those of this experiment's run before; whole, or not at all.

    A run is not lost because that failed, but it is said.
    """
    path = folder / f"aftershock-{experiment}.prom"
    # The collector reads files that end in .prom alone: never this half a one.
    unfinished = path.with_suffix(".part")
    try:
        unfinished.write_bytes(series.read_bytes())
        unfinished.replace(path)
    except OSError as error:
        print(f"aftershock: no series were written to {path}: {error.strerror}", file=sys.stderr)
