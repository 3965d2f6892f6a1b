"""What the probes say: whether the engine makes progress, and whether this replica should get requests."""

from reference_server.engine import Engine


def why_not_alive(engine: Engine, *, stall_s: float, min_step_s: float) -> str | None:
    """None while the engine loads, idles or steps in time; else what is wrong, in words.

    A step is late when it takes `stall_s` longer than the least it may take.
    """
    if engine.failure is not None:
        return f"the engine failed: {engine.failure}"
    age_s = engine.step_age_s()
    if age_s > stall_s + min_step_s:
        return f"the engine has been in one step for {age_s:.1f} s"
    return None


def why_not_ready(engine: Engine, *, draining: bool) -> str | None:
    """None when the model is loaded, has generated a token, and the replica is to stay; else why, in words."""
    if draining:
        return "it is draining"
    if engine.failure is not None:
        return "its engine failed"
    return None if engine.ready else "the model is loading"
