"""What a machine must have for an experiment, beyond what is installed with aftershock: looked for, and not started."""

import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

_GPU = "gpu"
_GPU_DEVICES = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
_NEED = re.compile(r"gpu|\$[A-Za-z_][A-Za-z0-9_]*|[A-Za-z0-9][A-Za-z0-9._+-]*")
_ANSWERS_WITHIN_S = 1.0


def _need(text: str) -> str:
    if not _NEED.fullmatch(text):
        raise PydanticCustomError("need", "gpu, a variable such as $NAME, or the name of a program")
    return text


Need = Annotated[str, AfterValidator(_need)]


def missing(needs: tuple[str, ...], service_url: str | None) -> Iterator[str]:
    """What this machine lacks, a clause for each.

    Args:
        needs: as an experiment lists them.
        service_url: of a service that must be there already; None where the target starts its own.
    """
    for need in needs:
        if need == _GPU:
            if not any(device.exists() for device in _GPU_DEVICES):
                yield "there is no GPU"
        elif need.startswith("$"):
            if not os.environ.get(need[1:]):
                yield f"{need} is not set"
        elif shutil.which(need) is None:
            yield f"there is no {need} on PATH"
    if service_url is not None and not _listens(service_url):
        yield f"nothing listens at {service_url}"


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), _ANSWERS_WITHIN_S).close()
    except OSError:
        return False
    return True
