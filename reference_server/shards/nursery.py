"""Starts ranks fast and lets none outlive the server: a process that imported torch once and forks a rank on demand.

It is told what to do over a socket and does nothing else; the socket's end, which is the server's, ends it with all
its ranks. It alone kills ranks, being the one to whom their pids belong until it has reaped them.
"""

import ctypes
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

HEADER = struct.Struct("<Q")
_PR_SET_PDEATHSIG = 1

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
            command = [sys.executable, "-m", __name__, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])

    @property
    def pid(self) -> int:
        """The parent of all ranks."""
        return self._process.pid

    def start(self, rank: Rank) -> tuple[Connection, Connection]:
        """Fork a process that runs `rank`; the other ends of its connections, steps and pulse."""
        ours, theirs = zip(*(socket.socketpair() for _ in range(2)), strict=True)
        task = pickle.dumps(rank)
        socket.send_fds(self._control, [HEADER.pack(len(task))], [end.fileno() for end in theirs])
        self._control.sendall(task)
        for end in theirs:
            end.close()
        steps, pulse = (Connection(end.detach()) for end in ours)
        return steps, pulse

    def kill_ranks(self) -> None:
        """SIGKILL every rank; returns when they are gone. A nursery that was killed, and they with it, is replaced."""
        if self.closed:
            return
        with suppress(OSError):
            self._control.sendall(HEADER.pack(0))
            if self._control.recv(1):
                return
        if not self.closed:
            self.close()
            self._start()

    def close(self) -> None:
        """End it with its ranks."""
        self.closed = True
        self._control.close()
        self._process.wait()


def _main(control: socket.socket) -> NoReturn:
    # A signal to the server's whole process group is the server's to handle: it drains, and needs its ranks for that.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    from reference_server.lean_torch import import_torch

    import_torch()
    with suppress(ImportError):  # what a rank beside a GPU imports as well; nothing here begins to use one
        from reference_server.gpu.kernel_cache import identify_compiler

        if Path("/dev/nvidiactl").exists():
            identify_compiler()

    ranks: list[int] = []
    while True:
        header, fds, _, _ = socket.recv_fds(control, HEADER.size, 2)
        size = HEADER.unpack(header)[0] if header else 0
        if size:
            task = control.recv(size, socket.MSG_WAITALL)
            ranks.append(_fork(control, task, *(Connection(fd) for fd in fds)))
            continue
        while ranks:
            os.kill(ranks[-1], signal.SIGKILL)
            os.waitpid(ranks.pop(), 0)
        if not header:
            os._exit(0)  # nothing is left to be said, and torch takes its time
        control.sendall(b"\0")


def _fork(control: socket.socket, task: bytes, steps: Connection, pulse: Connection) -> int:
    parent = os.getpid()
    if child := os.fork():
        steps.close()
        pulse.close()
        return child
    control.close()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    try:
        pickle.loads(task)(steps, pulse)  # noqa: S301  from the server that started this process
    finally:
        os._exit(1)


if __name__ == "__main__":
    _main(socket.socket(fileno=int(sys.argv[1])))
