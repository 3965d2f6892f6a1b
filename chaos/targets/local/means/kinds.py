"""Every effect that a local cluster can have: the one list of them."""

from typing import Any

from chaos.targets.effects import Effect
from chaos.targets.local.means import (
    clock_shift,
    cold_start,
    crash,
    device_error,
    device_memory,
    device_stress,
    drain,
    freeze,
    gray_failure,
    http_rule,
    kv_reservation,
    link,
    memory_cap,
    memory_stress,
    nothing,
    other_weights,
    outage,
    processor_stress,
    rank_loss,
    slow_steps,
    stuck_stream,
    termination,
)
from chaos.targets.local.means.means import Means

MEANS: tuple[Means[Any], ...] = (
    nothing.MEANS,
    termination.MEANS,
    crash.MEANS,
    outage.MEANS,
    processor_stress.MEANS,
    memory_stress.MEANS,
    link.MEANS,
    http_rule.MEANS,
    gray_failure.MEANS,
    freeze.MEANS,
    stuck_stream.MEANS,
    slow_steps.MEANS,
    kv_reservation.MEANS,
    drain.MEANS,
    cold_start.MEANS,
    other_weights.MEANS,
    rank_loss.MEANS,
    memory_cap.MEANS,
    device_memory.MEANS,
    device_stress.MEANS,
    device_error.MEANS,
    clock_shift.MEANS,
)
_BY_EFFECT = {means.effect: means for means in MEANS}


def means_of(effect: Effect) -> Means[Any] | None:
    """How it comes about here; None where it cannot."""
    return _BY_EFFECT.get(type(effect))
