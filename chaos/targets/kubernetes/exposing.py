"""A port on this machine that leads to the ready pods of a Service, where its cluster's addresses cannot be reached.

Each connection goes to the next ready pod, as a Service would have it, and stays there. The API server carries every
byte: enough for the rates of an experiment, and not what a client of the Service would measure on a better way.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from chaos.errors import RefusedError
from chaos.targets.kubernetes.api import Api
from chaos.targets.kubernetes.objects import ApiError, Collection, Item, pods
from chaos.targets.kubernetes.shell import Shell

_HOST = "127.0.0.1"
_MOST = 128
"""Connections at once."""
_CONNECT_S = 5.0
_CALL_S = 10.0
_BYTES = 65536


@dataclass(slots=True)
class Forward:
    """One port, and its connections; entered it listens, left all of it is closed."""

    api: Api
    namespace: str
    service: str
    ready: Callable[[], Sequence[Item]]
    """The pods that are ready now."""
    _listener: socket.socket | None = None
    _open: set[Any] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _turn: int = 0
    _target: int | str = 0

    def __enter__(self) -> Self:
        """Listen.

        Raises:
            RefusedError: there is no such Service, or it has no port.
        """
        self._target = self._target_port()
        self._listener = socket.create_server((_HOST, 0), backlog=_MOST)
        threading.Thread(target=self._accept, name="port-forward", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        assert self._listener is not None
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._open:
                _close(each)

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._listener is not None
        return f"http://{_HOST}:{self._listener.getsockname()[1]}"

    def _target_port(self) -> int | str:
        try:
            found = self.api.get(
                Collection("", "v1", "services", self.namespace) / self.service, within_s=_CALL_S
            )
        except ApiError as error:
            raise RefusedError(f"target.kubernetes.service: {self.service} cannot be had: {error}") from error
        ports = ((found or {}).get("spec") or {}).get("ports") or ()
        if not ports:
            raise RefusedError(
                f"target.kubernetes.service: there is no such Service, or it has no port: {self.service}"
            )
        target: int | str = ports[0].get("targetPort") or ports[0]["port"]
        return target

    def _accept(self) -> None:
        listener = self._listener
        assert listener is not None
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if len(self._open) >= 2 * _MOST:
                connection.close()
                continue
            threading.Thread(target=self._carry, args=(connection,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        """From one connection to a pod and back; a pod that cannot be had is a reset."""
        try:
            far = self._connect()
        except (ApiError, LookupError):
            near.close()
            return
        with self._lock:
            self._open |= {near, far}
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()
        with self._lock:
            self._open -= {near, far}
        _close(near)
        _close(far)

    def _connect(self) -> Any:
        ready = sorted(self.ready(), key=lambda item: str(item["metadata"]["name"]))
        if not ready:
            raise LookupError("no pod is ready")
        with self._lock:
            self._turn += 1
            item = ready[self._turn % len(ready)]
        place = pods(self.namespace) / str(item["metadata"]["name"])
        return Shell(self.api).connection(place, _port(item, self._target), within_s=_CONNECT_S)


def _port(item: Item, target: int | str) -> int:
    if isinstance(target, int):
        return target
    named = (
        port
        for one in item["spec"]["containers"]
        for port in one.get("ports") or ()
        if port.get("name") == target
    )
    return int(next(named)["containerPort"])


def _pump(source: Any, sink: Any) -> None:
    """Until the source ends; its end is handed on, so that half-closed connections are."""
    with contextlib.suppress(OSError):
        while data := source.recv(_BYTES):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _close(each: Any) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        each.close()
