"""Several runs at once on one machine, each lane on cores of its own, so that none takes another's time."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue


def cores_of(lane: int, lanes: int, cores: Sequence[int]) -> frozenset[int]:
    """The share of a lane; where there are more lanes than cores, some share one."""
    each = max(1, len(cores) // lanes)
    return frozenset(cores[(lane * each + i) % len(cores)] for i in range(each))


def pool_of_lanes(lanes: int) -> ThreadPoolExecutor:
    """A pool with a thread per lane: the thread, and whatever it starts, keeps to the lane's cores.

    One lane has the whole machine. Where a system cannot keep a thread to cores, several lanes share all of them.
    """
    if lanes == 1 or not hasattr(os, "sched_setaffinity"):
        return ThreadPoolExecutor(lanes)
    cores, shares = sorted(os.sched_getaffinity(0)), SimpleQueue[frozenset[int]]()
    for lane in range(lanes):
        shares.put(cores_of(lane, lanes, cores))
    # Linux: of the calling thread alone, and inherited by its children.
    return ThreadPoolExecutor(lanes, initializer=lambda: os.sched_setaffinity(0, shares.get()))
