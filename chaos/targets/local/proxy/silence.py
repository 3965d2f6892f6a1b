"""Sockets that hear nothing: what is sent to them vanishes on arrival, unacknowledged, as behind a partition.

A filter that drops every packet is put on the socket itself, which the kernel allows everybody for sockets of their
own. So nothing here is imitated: the other side's kernel sends again after its own timeouts, doubling them, and a
connection to a socket that listens is not made until one of its SYNs comes through.
Sources: Linux, `Documentation/networking/filter.rst`, and `tcp_filter` in `net/ipv4/tcp_ipv4.c`.
"""

import ctypes
import errno
import socket
import struct
import sys
from asyncio import BaseTransport

POSSIBLE = sys.platform == "linux"
_ATTACH_FILTER = 26
"""SO_ATTACH_FILTER and SO_DETACH_FILTER, which Python's socket module does not name."""
_DETACH_FILTER = 27
_DROP_ALL = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0), 8)
"""The one instruction `return 0` (BPF_RET | BPF_K): keep no byte of a packet."""
_PROGRAM = struct.pack("HP", 1, ctypes.addressof(_DROP_ALL))


def set_silent(of: BaseTransport | socket.socket, *, silent: bool) -> None:
    """Have a socket hear nothing, or hear again; the same a second time changes nothing, nor does a closed one.

    Raises:
        OSError: the kernel has no such filters.
    """
    sock = of.get_extra_info("socket") if isinstance(of, BaseTransport) else of
    if sock is None or sock.fileno() < 0:
        return
    try:
        if silent:
            sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, _PROGRAM)
        else:
            sock.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, struct.pack("i", 0))
    except OSError as error:
        if silent or error.errno != errno.ENOENT:
            raise
