"""Whether this machine has a GPU, told without its libraries."""

from pathlib import Path

_DRIVER = Path("/dev/nvidiactl")


def no_gpu() -> str | None:
    """Why nothing can be done to a GPU here; None where there is one."""
    return None if _DRIVER.exists() else f"this machine has no NVIDIA GPU: there is no {_DRIVER}"
