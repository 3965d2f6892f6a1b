"""Every effect that a local cluster can have: the one list of them."""

from typing import Any

from chaos.targets.effects import Effect
from chaos.targets.local.means import link, nothing, termination
from chaos.targets.local.means.means import Means

MEANS: tuple[Means[Any], ...] = (nothing.MEANS, termination.MEANS, link.MEANS)
_BY_EFFECT = {means.effect: means for means in MEANS}


def means_of(effect: Effect) -> Means[Any] | None:
    """How it comes about here; None where it cannot."""
    return _BY_EFFECT.get(type(effect))
