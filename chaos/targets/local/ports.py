"""Free ports to hand to a process that binds them itself, a moment later."""

import random
import socket
from collections.abc import Container

HOST = "127.0.0.1"
# Below the ports that systems hand to outgoing connections (Linux from 32768, macOS from 49152): one handed
# out here can then only be lost to another listener, not to any connection of the load.
_POOL = range(20_000, 32_000)
_TRIES = 500
POOL_SIZE = len(_POOL)
"""More processes than this cannot listen at once."""


def is_free(port: int) -> bool:
    """Whether a server could listen on it right now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port(taken: Container[int]) -> int:
    """A free port that is not among those promised already; OSError when none can be found.

    The promise cannot be kept for sure, so whoever binds late must be started again on another port when it
    was broken.
    """
    generator = random.SystemRandom()
    for _ in range(_TRIES):
        port = generator.choice(_POOL)
        if port not in taken and is_free(port):
            return port
    raise OSError(f"no free port between {_POOL.start} and {_POOL.stop - 1}")
