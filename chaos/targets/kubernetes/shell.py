"""Commands in a container, and connections to a pod's port, over the API server's websockets: each within its time.

Both need rights that a careful cluster does not give away: `pods/exec` and `pods/portforward`. Without them what would
have been seen is not known, and that is what is said.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from chaos.targets.kubernetes.calls import Calls, short
from chaos.targets.kubernetes.objects import ApiError, Place

T = TypeVar("T")


class Shell:
    """An API server's ways into pods."""

    def __init__(self, calls: Calls) -> None:
        self._configuration, self._headers = calls.credentials()

    def run(self, pod: Place, container: str, command: Sequence[str], *, within_s: float) -> str:
        """What a command prints.

        Raises:
            ApiError: it cannot be run, or does not end in time.
        """
        websockets = _websockets()
        asked = [("container", container), ("stdout", "true"), ("stderr", "false")]
        asked += [("command", word) for word in command]
        url = f"{self._configuration.host}{pod.path}/exec?{urlencode(asked)}"

        def call() -> str:
            address = websockets.get_websocket_url(url)
            client = websockets.WSClient(self._configuration, address, self._headers(), capture_all=True)
            client.run_forever(timeout=within_s)
            said = str(client.read_all())
            client.close()
            return said

        return _within(within_s, call)

    def connection(self, pod: Place, port: int, *, within_s: float) -> Any:
        """A socket to a port of a pod.

        Raises:
            ApiError: there is none to be had.
        """
        websockets = _websockets()
        url = f"{self._configuration.host}{pod.path}/portforward?ports={port}"

        def call() -> Any:
            forwarded = websockets.portforward_call(self._configuration, "GET", url, headers=self._headers())
            return forwarded.socket(port)

        return _within(within_s, call)


def _websockets() -> Any:
    from kubernetes.stream import ws_client

    return ws_client


def _within(within_s: float, call: Callable[[], T]) -> T:
    """The result of a call that knows no timeout of its own; a thread that is late is left to itself."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:  # told to whoever waits
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(within_s)
    if results:
        return results[0]
    raise ApiError(0, short(errors[0]) if errors else f"no answer within {within_s:g} s")
