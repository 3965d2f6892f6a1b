"""The ranks' side of a nursery of the server's own: a rank is forked on demand, and none outlives the server."""

import base64
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from reference_server.nursery import COMMAND, Message, receive, send

Rank = Callable[[Connection, Connection], Any]
"""What a rank does with its two connections, steps and pulse; picklable."""


class Nursery:
    """The server's end. Used by one thread at a time."""

    def __init__(self) -> None:
        """Start the process; it imports torch while its caller goes on."""
        self._start()

    def _start(self) -> None:
        self.closed = False
        self._control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, *COMMAND, "--standby", "-"]
            self._process = subprocess.Popen(command, stdin=theirs.fileno())

    @property
    def pid(self) -> int:
        """The parent of all ranks."""
        return self._process.pid

    def start(self, rank: Rank) -> tuple[Connection, Connection]:
        """Fork a process that runs `rank`; the other ends of its connections, steps and pulse.

        A nursery that is gone gives connections that have ended, as those of a rank that died at once.
        """
        ours, theirs = zip(*(socket.socketpair() for _ in range(2)), strict=True)
        task = base64.b64encode(pickle.dumps(rank)).decode()
        with suppress(OSError):
            self._ask({"op": "rank", "task": task}, [end.fileno() for end in theirs])
        for end in theirs:
            end.close()
        steps, pulse = (Connection(end.detach()) for end in ours)
        return steps, pulse

    def kill_ranks(self) -> None:
        """SIGKILL every rank; returns when they are gone. A nursery that was killed, and they with it, is replaced."""
        if self.closed:
            return
        with suppress(OSError):
            if self._ask({"op": "end"}) is not None:
                return
        if not self.closed:
            self.close()
            self._start()

    def close(self) -> None:
        """End it with its ranks."""
        self.closed = True
        self._control.close()
        self._process.wait()

    def _ask(self, message: Message, fds: Sequence[int] = ()) -> Message | None:
        """The answer; None from a nursery that is gone. Ranks that ended meanwhile are noticed otherwise."""
        send(self._control, message, fds)
        while (received := receive(self._control)) is not None:
            if "ended" not in received[0]:
                return received[0]
        return None
