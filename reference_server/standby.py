"""`--standby ADDRESS` keeps a nursery, `--from ADDRESS` starts a replica out of it, in a fraction of a second.

An address is the path of a socket; `-` as the nursery's means that its standard input is the one connection, as whoever
starts it from a program wants it.
"""

import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from reference_server.errors import ConfigError
from reference_server.nursery import COMMAND, Serve, receive, run, send

STDIN = "-"
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def keep_nursery(address: str, serve: Serve) -> int:
    """Keep replicas a fork away, each of which will `serve`, until told to end or the standard input ends.

    Raises:
        ConfigError: nobody can listen there.
    """
    if address == STDIN:
        # A signal to the asker's whole process group is the asker's to handle: it drains, and needs its ranks for that.
        for ignored in (signal.SIGINT, signal.SIGTERM):
            signal.signal(ignored, signal.SIG_IGN)
        control = socket.socket(fileno=os.dup(sys.stdin.fileno()))
        os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
        run(serve, None, [control])
        os._exit(0)  # nothing is left to be said, and torch takes its time
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _listening(address) as listener, suppress(KeyboardInterrupt):
        run(serve, listener)
    return 0


def replica_from(address: str, options: Sequence[str]) -> int:
    """Be the front of a replica that the nursery forks: its output, its signals and its exit code are this process'.

    It ends when this process does, however that happens.

    Raises:
        ConfigError: there is no nursery, or it was lost.
    """
    message = {
        "op": "replica",
        "argv": [sys.executable, *COMMAND, *options],
        "env": dict(os.environ),
        "cwd": str(Path.cwd()),
    }
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(address)
            send(control, message, [sys.stdout.fileno(), sys.stderr.fileno()])
            for number in PASSED_ON:
                signal.signal(number, lambda told, _: send(control, {"op": "signal", "number": told}))
            while (received := receive(control)) is not None:
                said, _ = received
                if "error" in said:
                    raise ConfigError(f"--from {address}: {said['error']}")
                if "ended" in said:
                    code = int(said["code"])
                    return code if code >= 0 else 128 - code
    except OSError as error:
        raise ConfigError(f"--from {address}: the socket of a standby is expected: {error}") from error
    raise ConfigError(f"--from {address}: the standby is gone, and this replica with it")


@contextmanager
def _listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        mask = os.umask(0o177)  # whoever may connect may run code as this user
        try:
            _remove_stale(address)
            listener.bind(address)
        except OSError as error:
            raise ConfigError(
                f"--standby {address}: the path of a new socket is expected: {error}"
            ) from error
        finally:
            os.umask(mask)
        try:
            listener.listen()
            yield listener
        finally:
            Path(address).unlink(missing_ok=True)


def _remove_stale(address: str) -> None:
    """A socket that nobody listens on was left by a nursery that was killed."""
    if not Path(address).is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            Path(address).unlink()
