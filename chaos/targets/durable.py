"""Small files that must be on disk before something is done: whole or not at all, and where all of a user's lie."""

import os
from pathlib import Path


def state_folder(kind: str) -> Path:
    """Where `aftershock recover` finds records, wherever it is called: `$XDG_STATE_HOME/aftershock/<kind>`."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "aftershock" / kind


def write_whole(path: Path, text: str) -> None:
    """Put a file on disk, whole or not at all, and its name with it; its folder is made where it is not there.

    Raises:
        OSError: the disk refused.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    with unfinished.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
