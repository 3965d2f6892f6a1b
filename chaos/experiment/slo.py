"""The section `slo` of an experiment file: what makes a request good, and how many are to be."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from chaos.reading.quantities import Duration, Percent
from chaos.reading.strict import Strict
from exporters import slo
from exporters.slo import E2E_BOUND_S, LEAST_SHARE, TTFT_BOUND_S, Objective

WatchedShare = Annotated[Percent, Field(gt=LEAST_SHARE, lt=1)]
"""A share that leaves an error budget which an alert can see burn."""

SomeShare = Annotated[Percent, Field(gt=0, lt=1)]


class Shares(Strict):
    """How many requests are to meet each objective; those that are left out are watched by no rule."""

    ttft: WatchedShare
    """of all requests, their first token in time"""
    e2e: WatchedShare
    """answered completely and in time"""
    availability: WatchedShare
    """answered completely"""
    itl: WatchedShare | None = None
    """without a gap between two tokens that is too long"""
    tpot: WatchedShare | None = None
    """with tokens that come fast enough on average"""
    goodput: SomeShare | None = None
    """good in every way"""


class Slo(Strict):
    """What makes a request good; bounds are inclusive."""

    ttft_s: Duration = Field(default=TTFT_BOUND_S, alias="ttft")
    """time to first token, from the intended start"""
    e2e_s: Duration = Field(default=E2E_BOUND_S, alias="e2e")
    """end-to-end latency, from the intended start"""
    itl_s: Duration | None = Field(default=None, alias="itl")
    """largest gap between two tokens; absent leaves gaps unbounded"""
    tpot_s: Duration | None = Field(default=None, alias="tpot")
    """mean time per token after the first; absent leaves it unbounded"""
    shares: Shares | None = None
    """how many requests are to meet each, for alerts, panels and `slo.NAME` in assertions; absent: 99% each"""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The same as rules and panels have them."""
        bounds = {"ttft": self.ttft_s, "e2e": self.e2e_s, "itl": self.itl_s, "tpot": self.tpot_s}
        if self.shares is None:
            usual = (
                each for each in slo.KNOWN if each in slo.OBJECTIVES or bounds.get(each.name) is not None
            )
            return tuple(replace(each, bound_s=bounds.get(each.name) or each.bound_s) for each in usual)
        shares = {name: share for name, share in self.shares if share is not None}
        return tuple(
            replace(each, share=shares[each.name], bound_s=bounds.get(each.name))
            for each in slo.KNOWN
            if each.name in shares and (each.bound_s is None or bounds[each.name] is not None)
        )
