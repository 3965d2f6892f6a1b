"""What the probes say: whether the engine makes progress, and whether this replica should get requests.

A step is overdue by what steps of its size took before, not by a fixed time: a long prefill is no hang, and a hang
among steps of milliseconds is seen after `stall_s`, however long the answers are.
"""

from reference_server.engine import Engine

PATIENCE = 8
"""A step may take this many times what it should."""


def why_not_alive(engine: Engine, *, stall_s: float, min_step_s: float) -> str | None:
    """None while the engine loads, idles or steps in time; else what is wrong, in words."""
    if engine.failure is not None:
        return f"the engine failed: {engine.failure}"
    age_s = engine.step_age_s()
    if age_s > min_step_s + max(stall_s, PATIENCE * engine.expected_s()):
        return f"the engine has been in one step for {age_s:.1f} s"
    return None


def why_not_ready(engine: Engine, *, draining: bool, stall_s: float, min_step_s: float) -> str | None:
    """None when a token was generated, the next one is not overdue, and the replica is to stay; else why, in words."""
    if draining:
        return "it is draining"
    if engine.failure is not None:
        return "its engine failed"
    if (lost := engine.lost()) is not None:
        return f"its engine is lost: {lost}"
    if not engine.ready:
        return "the model is loading"
    return why_not_alive(engine, stall_s=stall_s, min_step_s=min_step_s)
