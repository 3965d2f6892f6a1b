"""What the probes say: whether the engine makes progress, and whether this replica should get requests.

A step is overdue by what steps of its size took before, not by a fixed time: a long prefill is no hang, and a hang
among steps of milliseconds is seen after `stall_s`, however long the answers are.
"""

from reference_server.config import Settings
from reference_server.engine import Engine

PATIENCE = 8
"""A step may take this many times what it should."""


def why_not_alive(engine: Engine, settings: Settings) -> str | None:
    """None while the engine loads, idles or steps in time; else what is wrong, in words."""
    if engine.failure is not None:
        return f"the engine failed: {engine.failure}"
    # In this order: between the two, a step may end, and then the next one is young.
    allowed_s = settings.min_step_s + max(settings.stall_s, PATIENCE * engine.expected_s())
    age_s = engine.step_age_s()
    if age_s > allowed_s:
        return f"the engine has been in one step for {age_s:.1f} s"
    return None


def why_not_ready(engine: Engine, settings: Settings, *, draining: bool) -> str | None:
    """None when a token was generated, the next one is not overdue, and the replica is to stay; else why, in words."""
    if draining:
        return "it is draining"
    if engine.failure is not None:
        return "its engine failed"
    if (lost := engine.lost()) is not None:
        return f"its engine is lost: {lost}"
    if not engine.ready:
        return engine.doing
    return why_not_alive(engine, settings)
