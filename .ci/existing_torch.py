"""Print the version of this interpreter's torch, then the folders that torch and what it needs are imported from.

Exits with an error where there is no torch that pyproject.toml accepts, or no venv to make .venv with.
"""

import ensurepip  # noqa: F401 - asked for here, missed by `python -m venv`
import re
import sys
from importlib import metadata
from pathlib import Path


def numbers(version: str) -> tuple[int, ...]:
    """Major and minor: all that a floor is about."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def main() -> None:
    """Metadata first, as it is cheap; that torch really loads is what counts."""
    floor = re.search(r'"torch>=([0-9.]+)"', Path("pyproject.toml").read_text(encoding="utf-8"))
    version = metadata.version("torch")
    if floor is None or numbers(version) < numbers(floor[1]):
        sys.exit(f"torch {version} is too old")
    import torch

    torch.zeros(1)
    print(version)
    # All of them: torch may be in the user's folder, and what it needs in the system's.
    print(*[path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}], sep="\n")


main()
