"""A process that keeps a processor busy, or memory full, until it is killed. Imports nothing of ours: a quick start.

`python stressor.py processor SHARE` is busy for that share of its time; `python stressor.py memory BYTES ADJUSTMENT`
allocates and touches so much, and asks the kernel to kill it before others, or after them, by that much.
"""

import signal
import sys
import time
from pathlib import Path

SLICE_S = 0.01
"""How long it is busy at a time, as stress-ng's `--cpu-load-slice 10` in milliseconds."""
_PAGE_BYTES = 4096
_ADJUSTMENT = Path("/proc/self/oom_score_adj")


def keep_busy(share: float) -> None:
    """Work for this share of the time, 0..1, for ever."""
    if share <= 0:
        signal.pause()
    idle_s = SLICE_S * (1 - share) / share
    while True:
        until_s = time.thread_time() + SLICE_S  # of its own work: what others take is not its idleness
        while time.thread_time() < until_s:
            pass
        if idle_s:
            time.sleep(idle_s)


def fill(size_bytes: int, adjustment: int) -> None:
    """Hold so much memory, every page of it touched, for ever."""
    if _ADJUSTMENT.exists():  # Linux
        _ADJUSTMENT.write_text(str(adjustment))
    held = bytearray(size_bytes)
    held[::_PAGE_BYTES] = b"\x01" * len(range(0, size_bytes, _PAGE_BYTES))
    signal.pause()


if __name__ == "__main__":
    if sys.argv[1] == "processor":
        keep_busy(float(sys.argv[2]))
    else:
        fill(int(sys.argv[2]), int(sys.argv[3]))
