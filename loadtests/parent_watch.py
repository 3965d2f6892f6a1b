"""A load must not outlive the process that asked for it, even if that process was killed without a word."""

import ctypes
import os
import signal
import sys

import gevent
from gevent import socket

_PR_SET_PDEATHSIG = 1


def end_with_parent(pipe_fd: int) -> None:
    """End this process at once when the other end of a pipe is gone; on Linux the kernel sees to it as well.

    The pipe works everywhere and across a chain of processes. The kernel's signal (prctl(2),
    PR_SET_PDEATHSIG) also works while this process is too busy to look at the pipe.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    gevent.spawn(_watch, pipe_fd)


def _watch(pipe_fd: int) -> None:
    while True:
        socket.wait_read(pipe_fd)
        if not os.read(pipe_fd, 1024):
            os._exit(1)
