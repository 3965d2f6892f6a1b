"""One run on a service at a time: what two runs do to it at once, neither could tell from its own fault."""

import fcntl
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from chaos.errors import RefusedError
from chaos.targets.external.lost_faults import folder as faults_folder

_LOOPBACK = ("localhost", "::1")


@dataclass(slots=True)
class Claim:
    """The right to load a service, for as long as this process lives or until it lets go.

    The kernel lets go of the lock with the process that holds it, however that ends: nothing is left to recover.
    """

    url: str
    run_id: str
    _file: TextIO | None = field(default=None)

    def take(self) -> None:
        """Take it.

        Raises:
            RefusedError: another run has it; the run is named.
        """
        path = self._path()
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "another run"
            file.close()
            raise RefusedError(
                f"{holder} is on {self.url} already: two runs at once would measure each other",
                hint="wait until it has ended",
            ) from None
        file.truncate(0)
        file.write(f"run {self.run_id} (pid {os.getpid()})\n")
        file.flush()
        self._file = file

    def let_go(self) -> None:
        """Give it back; a second time changes nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _path(self) -> Path:
        """One file for each host and port, whatever the rest of the URL."""
        parts = urlsplit(self.url)
        host = "127.0.0.1" if parts.hostname in _LOOPBACK else parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return faults_folder().parent / "services" / f"{host.replace(':', '-')}_{port}"
