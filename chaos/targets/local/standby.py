"""The process that replicas are forked from, where the experiment names one: it has imported what they need already.

docs/standby.md has what it is told. Replicas become children of the supervisor, as if it had started them: it sees
them end, and the kernel ends them with it. A standby that dies takes no replica along; it is told of and replaced.
"""

import asyncio
import ctypes
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from chaos.events import Event
from chaos.targets.local.processes import Child, HelperDiedError, ProcessTable
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.wire import Message

_HEADER = struct.Struct("<I")
_PR_SET_CHILD_SUBREAPER = 36


def works_here() -> bool:
    """Whether a process can be given another's orphans: Linux."""
    return sys.platform == "linux"


class Standby:
    """One after another, for as long as `attend` runs."""

    def __init__(self, spec: LocalSpec, processes: ProcessTable, emit: Callable[[Event], None]) -> None:
        """Start the first; it imports while the cluster is made."""
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
        self._spec = spec
        self._processes = processes
        self._emit = emit
        self._lock = asyncio.Lock()
        self._has_forked = False
        self._start()

    @property
    def pid(self) -> int:
        """Of the one that lives."""
        return self._child.pid

    async def fork(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> Child:
        """A replica's process with this command line and environment, output into `log`.

        Raises:
            RuntimeError: the standby does not take this command.
        """
        request = {
            "op": "replica",
            "adopted": True,
            "argv": command,
            "env": dict(env),
            "cwd": str(Path.cwd()),
        }
        payload = json.dumps(request).encode()
        async with self._lock:  # a question at a time: what is written fits into the socket's buffer
            while True:
                control = self._control
                try:
                    answer = await self._ask(control, payload, log)
                except OSError:  # it died; `attend` puts another one in its place
                    await asyncio.sleep(0.01)
                    continue
                if "error" in answer:
                    raise RuntimeError(f"the standby does not start a replica: {answer['error']}")
                self._has_forked = True
                return self._processes.adopt(int(answer["pid"]))

    async def attend(self) -> None:
        """Replace it whenever it dies.

        Raises:
            HelperDiedError: it died before it ever forked a replica: another one would, too.
        """
        while True:
            end = await self._child.wait()
            self._control.close()
            if not self._has_forked:
                raise HelperDiedError(f"the standby ended by itself: {end}; its log: {self._log}")
            self._emit(Event(end.at_s, "standby_gone", detail={"pid": self._child.pid, "how": str(end)}))
            self._start()

    @property
    def _log(self) -> Path:
        return self._spec.log_folder / "standby.log"

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        self._control.settimeout(0)
        with theirs:
            self._child = self._processes.start(
                self._spec.standby_command,
                env={**os.environ, **self._spec.env},
                log=self._log,
                stdin=theirs.fileno(),
            )
        self._emit(Event(time.monotonic(), "standby_started", detail={"pid": self._child.pid}))

    @staticmethod
    async def _ask(control: socket.socket, payload: bytes, log: Path) -> Message:
        loop = asyncio.get_running_loop()
        with log.open("ab") as sink:
            socket.send_fds(control, [_HEADER.pack(len(payload))], [sink.fileno()] * 2)
        await loop.sock_sendall(control, payload)
        size = _HEADER.unpack(await _receive(control, _HEADER.size))[0]
        answer: Message = json.loads(await _receive(control, size))
        return answer


async def _receive(control: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (part := await asyncio.get_running_loop().sock_recv(control, size - len(data))):
            raise ConnectionResetError("the standby is gone")
        data += part
    return data
