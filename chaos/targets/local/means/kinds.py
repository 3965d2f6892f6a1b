"""Every effect that a local cluster can have: the one list of them."""

from typing import Any

from chaos.targets.effects import Effect
from chaos.targets.local.means import (
    crash,
    link,
    memory_stress,
    nothing,
    outage,
    processor_stress,
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
)
_BY_EFFECT = {means.effect: means for means in MEANS}


def means_of(effect: Effect) -> Means[Any] | None:
    """How it comes about here; None where it cannot."""
    return _BY_EFFECT.get(type(effect))
