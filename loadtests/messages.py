"""What the master and the workers of a load tell each other as Locust's messages, also where they are one process.

master ──ECHO {sent}──► each worker ──ECHO {sent, answered}──► master: how far their clocks are apart
master ──START {worker, workers, model, plan, start}──► each worker: play what has index mod workers == worker
master ──CLOSE, STOP──► each worker: offer nothing more; end at once
worker ──DONE {hub lag, stalls, peak in flight}──► master
"""

from typing import TypedDict

START, CLOSE, STOP, DONE = "aftershock_start", "aftershock_close", "aftershock_stop", "aftershock_done"
ECHO = "aftershock_echo"


class Assignment(TypedDict):
    """What START says to one worker."""

    worker: int
    workers: int
    model: str
    plan_sha256: str
    """Of the master's plan; the worker reads or makes its own, and this one must be the same."""
    start_s: float
    """The first instant of the plan, on the monotonic clock of the worker's own host (`loadtests.clocks`)."""
