"""Where data lies that is no part of the project: Chaos Mesh's own files, answers of an API server, public traces."""

import os
from pathlib import Path

FOLDER = Path(
    os.environ.get("AFTERSHOCK_TEST_DATA") or Path(__file__).parent.parent.parent.parent / "shared" / "data"
)
ABSENT = f"not there: {FOLDER} (AFTERSHOCK_TEST_DATA names another folder)"
