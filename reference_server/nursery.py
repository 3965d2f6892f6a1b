"""A process that has imported torch once and forks whoever is asked for: replicas of the server, ranks of one replica.

It is asked over Unix sockets, in one thread. A message is a length, a JSON object and file descriptors; docs/standby.md
has the few there are. Whoever a connection asked for ends with the connection, except for replicas that are *adopted*:
those become children of the process that started the nursery.
"""

import array
import base64
import gc
import importlib
import json
import os
import pickle
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from reference_server.forking import Place, forget_parent, fork, fork_for_parent, live_as_process

COMMAND = ("-m", "reference_server")
"""What stands between the interpreter and the options in a replica's command."""

NEEDED = (
    "numpy.ma",  # what numpy imports when its set operations are first called
    "numpy.random",  # and when a state is drawn anew
    "reference_server.faults.door",  # what local clusters have it import
    "reference_server.loading",
    "reference_server.server",
    "reference_server.shards.collectives",
)
"""What a replica or a rank would import: it brings the rest."""

Message = dict[str, Any]
Serve = Callable[[Sequence[str]], int]
"""Be a replica with these options; returns the exit code."""

_HEADER = struct.Struct("<I")
_MOST_FDS = 3
_MESSAGE_WITHIN_S = 5.0
"""Who began a message has this long for the rest of it: everybody else waits."""


class WrongRequestError(Exception):
    """What was asked cannot be done; its text is the answer."""


def send(control: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send one message with file descriptors."""
    payload = json.dumps(message).encode()
    socket.send_fds(control, [_HEADER.pack(len(payload))], fds)
    control.sendall(payload)


def receive(control: socket.socket) -> tuple[Message, list[int]] | None:
    """The next message and its descriptors; None when the other side is gone, or breaks off."""
    try:
        header, ancillary, _, _ = control.recvmsg(_HEADER.size, socket.CMSG_LEN(_MOST_FDS * 4))
        fds = array.array("i")
        for _, _, data in ancillary:
            fds.frombytes(data)
        payload = _read(control, _HEADER.unpack(header)[0])
        return cast("Message", json.loads(payload)), fds.tolist()
    except (OSError, struct.error, ValueError):
        return None


def _read(control: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (part := control.recv(size - len(data))):
            raise ConnectionResetError
        data += part
    return data


class Nursery:
    """Forks, signals, buries and tells, until nobody is left who could ask."""

    def __init__(
        self, serve: Serve, listener: socket.socket | None, connections: Iterable[socket.socket]
    ) -> None:
        self._serve_replica = serve
        self._selector = selectors.DefaultSelector()
        self._listener = listener
        self._connections: set[socket.socket] = set()
        self._children: dict[int, socket.socket] = {}
        """By pid, who asked for them; adopted ones are not among them."""
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.settimeout(0)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        if listener is not None:
            self._selector.register(listener, selectors.EVENT_READ)
        for connection in connections:
            self._welcome(connection)

    def tend(self) -> None:
        """Answer whoever asks; returns when there is no listener, and no connection any more."""
        while self._listener is not None or self._connections:
            for key, _ in self._selector.select():
                ready = cast("socket.socket", key.fileobj)
                if ready is self._woken:
                    self._woken.recv(4096)
                elif ready is self._listener:
                    self._welcome(ready.accept()[0])
                else:
                    self._serve(ready)
            self._bury()

    def close(self) -> None:
        """SIGKILL everybody who was not adopted."""
        for connection in self._connections:
            self._end_children(connection)

    def _welcome(self, connection: socket.socket) -> None:
        connection.settimeout(_MESSAGE_WITHIN_S)
        self._connections.add(connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _serve(self, connection: socket.socket) -> None:
        received = receive(connection)
        if received is None:
            self._end_children(connection)
            self._selector.unregister(connection)
            self._connections.remove(connection)
            connection.close()
            return
        message, fds = received
        try:
            answer = self._obey(connection, message, fds)
        except (WrongRequestError, KeyError, TypeError, ValueError, OSError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        for fd in fds:
            os.close(fd)
        _tell(connection, answer)

    def _obey(self, connection: socket.socket, message: Message, fds: Sequence[int]) -> Message:
        match message["op"]:
            case "replica":
                life = _replica(message, fds, self._serve_replica)
                if message.get("adopted"):
                    return {"pid": fork_for_parent(life)}
            case "rank":
                life = _rank(message, fds)
            case "signal":
                for child in self._children_of(connection):
                    os.killpg(child, signal.Signals(message["number"]))
                return {}
            case "end":
                self._end_children(connection)
                return {}
            case other:
                raise WrongRequestError(f"op: replica, rank, signal or end is expected, not {other!r}")
        pid = fork(life)
        self._children[pid] = connection
        return {"pid": pid}

    def _children_of(self, connection: socket.socket) -> list[int]:
        return [pid for pid, asker in self._children.items() if asker is connection]

    def _end_children(self, connection: socket.socket) -> None:
        for child in self._children_of(connection):
            with suppress(
                ProcessLookupError, PermissionError
            ):  # a replica may not lead its group yet, a rank never does
                os.killpg(child, signal.SIGKILL)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            del self._children[child]

    def _bury(self) -> None:
        for child in list(self._children):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                _tell(self._children.pop(child), {"ended": pid, "code": code})


def _tell(connection: socket.socket, message: Message) -> None:
    with suppress(OSError):  # it is gone: reading from it will say so
        send(connection, message)


def _replica(message: Message, fds: Sequence[int], serve: Serve) -> Callable[[], object]:
    argv = message["argv"]
    options = argv[1 + len(COMMAND) :]
    if tuple(argv[1 : 1 + len(COMMAND)]) != COMMAND:
        raise WrongRequestError(f"argv: [python, {', '.join(COMMAND)}, ...] is expected, not {argv}")
    if len(fds) != 2:
        raise WrongRequestError(f"two file descriptors are expected, for output and errors, not {len(fds)}")
    place = Place(message["env"], message["cwd"])

    def live() -> int:
        sys.argv = argv[2:]
        return serve(options)

    return lambda: live_as_process(place, fds, live)


def _rank(message: Message, fds: Sequence[int]) -> Callable[[], object]:
    def live() -> None:
        forget_parent(kept=fds)
        task = pickle.loads(base64.b64decode(message["task"]))  # noqa: S301  from the server that started this process
        task(*(Connection(fd) for fd in fds))

    return live


def run(serve: Serve, listener: socket.socket | None, connections: Iterable[socket.socket] = ()) -> None:
    """Import what replicas and ranks need, say so, and tend until nobody is left who could ask.

    Args:
        serve: is a replica, for these options; called in each that is forked.
        listener: where to be asked.
        connections: who asks already.
    """
    began_s = time.monotonic()
    gc.disable()
    _preload()
    gc.freeze()  # children share these pages until somebody writes to them, as a collection would
    print(f"standby: imported in {time.monotonic() - began_s:.2f} s", file=sys.stderr, flush=True)
    nursery = Nursery(serve, listener, connections)
    try:
        nursery.tend()
    finally:
        nursery.close()


def _preload() -> None:
    """Import what replicas and ranks need; starts no thread, and begins to use no GPU."""
    from reference_server.lean_torch import import_torch

    import_torch()
    for module in NEEDED:
        importlib.import_module(module)
    if Path("/dev/nvidiactl").exists():
        with suppress(
            ImportError
        ):  # no Triton; the kernels themselves ask for the device when they are imported
            from reference_server.gpu.kernel_cache import identify_compiler

            identify_compiler()
