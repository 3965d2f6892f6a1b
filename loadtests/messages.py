"""What the master and the workers of a load tell each other as Locust's messages, also where they are one process.

master ──START {worker, workers, model, plan, start}──► each worker: play what has index mod workers == worker
master ──CLOSE, STOP──► each worker: offer nothing more; end at once
worker ──DONE {hub lag, peak in flight}──► master
"""

from typing import TypedDict

START, CLOSE, STOP, DONE = "aftershock_start", "aftershock_close", "aftershock_stop", "aftershock_done"


class Assignment(TypedDict):
    """What START says to one worker."""

    worker: int
    workers: int
    model: str
    plan_sha256: str
    """Of the master's plan; the worker reads or makes its own, and this one must be the same."""
    start_wall_s: float
    """The first instant of the plan. Each process converts it to its own monotonic clock once: on one host that is
    exact to microseconds, across hosts it is as good as their clocks agree (NTP)."""
