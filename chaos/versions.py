"""Which versions ran an experiment: what a reader needs to run it again."""

import platform
import shutil
import subprocess
from importlib import metadata

_PACKAGES = ("aftershock", "aiohttp", "locust", "prometheus-client", "torch")


def versions() -> dict[str, str]:
    """Name to version of the machine, the interpreter, the packages and the programs that take part."""
    found = {"system": f"{platform.system()} {platform.release()}", "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    if (program := shutil.which("prometheus")) is not None:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        words = (answer.stdout or answer.stderr).split()
        if "version" in words:
            found["prometheus"] = words[words.index("version") + 1]
    return found
