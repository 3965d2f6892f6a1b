"""Forks that have nothing of their parent but its modules: how a child becomes a process like any other.

The parent has one thread, so no lock is held by another, and never touched a GPU: CUDA does not survive a fork. What
is left to shed are descriptors, signal handlers, the environment, the session and the random states.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_ADOPTED_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a child is to live."""

    environment: Mapping[str, str]
    folder: str


def fork(life: Callable[[], object]) -> int:
    """A child of this process that does this, dies with it, and ends with exit code 1 if it returns; its pid."""
    parent = os.getpid()
    return os.fork() or _live(parent, life)


def fork_for_parent(life: Callable[[], object]) -> int:
    """The same as a child of this process' parent, by a process in between that ends at once; its pid.

    The parent must have asked to be given orphans (prctl(2), PR_SET_CHILD_SUBREAPER); else the child ends.
    """
    adopter = os.getppid()
    told, tell = os.pipe()
    between = os.fork()
    if not between:
        child = os.fork()
        if child:
            os.write(tell, child.to_bytes(8, "little"))
            os._exit(0)
        deadline_s = time.monotonic() + _ADOPTED_WITHIN_S
        while os.getppid() != adopter and time.monotonic() < deadline_s:
            time.sleep(0.0005)
        _live(adopter, life)
    os.close(tell)
    os.waitpid(between, 0)  # from here on the child is the parent's
    pid = int.from_bytes(os.read(told, 8), "little")
    os.close(told)
    return pid


def _live(parent: int, life: Callable[[], object]) -> NoReturn:
    try:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it died before the request: no signal will come
                os._exit(1)
        life()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def live_as_process(place: Place, outputs: Sequence[int], life: Callable[[], int]) -> NoReturn:
    """In a fork: take a session, standard streams and an environment of one's own, live, and end with its exit code."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream, source in enumerate((nothing, *outputs)):
        os.dup2(source, stream)
    forget_parent(kept=())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(place.environment)
    os.chdir(place.folder)
    os._exit(_exit_code(life))


def forget_parent(kept: Sequence[int]) -> None:
    """In a fork: close what the parent had open, all but these and the standard streams, and its signals' ways.

    Python's own random state is drawn anew at every fork and torch's is the constant of a fresh process; numpy's is
    drawn anew here.
    """
    import numpy as np

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    last = sys.stderr.fileno()
    for fd in (*sorted(kept), os.sysconf("SC_OPEN_MAX")):
        os.closerange(last + 1, fd)
        last = fd
    np.random.seed()  # noqa: NPY002  the state that numpy keeps itself


def _exit_code(life: Callable[[], int]) -> int:
    """As the interpreter would end, which forks must not: what the parent registered for its exit is not theirs."""
    try:
        return life()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
