"""The event loop of the API: uvloop's where it is installed, which costs less than asyncio's, and else that one."""

import asyncio
from collections.abc import Callable

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ModuleNotFoundError:
    new_event_loop = asyncio.new_event_loop
