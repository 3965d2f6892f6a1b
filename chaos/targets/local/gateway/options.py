"""The gateway's section of an experiment file: what it does about replicas that answer badly, each with its switch."""

from typing import Annotated

from pydantic import Field

from chaos.reading.quantities import Duration, Percent
from chaos.reading.strict import Count, Strict
from chaos.targets.local.gateway.spec import EjectionSpec, GatewaySpec, RetrySpec

_EJECTION = EjectionSpec()
_RETRIES = RetrySpec()


class Ejection(Strict):
    """Which replicas get no requests for a while, though they are ready."""

    errors: bool = _EJECTION.errors
    """those that answer 5xx or not at all, more often than their peers beyond chance; never for a full queue"""
    broken_streams: bool = _EJECTION.broken_streams
    """those whose streams are cut, report an error, stall, or do not begin"""
    latency: bool = _EJECTION.latency
    """those whose first tokens or token gaps are slow"""
    consecutive: Count = _EJECTION.consecutive
    """failures in a row that are needed at least; more where peers fail too"""
    first_token_s: Duration = Field(default=_EJECTION.first_token_s, alias="first_token")
    """a stream that has not begun after this long counts as broken, and is tried elsewhere"""
    stall_s: Duration = Field(default=_EJECTION.stall_s, alias="stall")
    """a stream that had begun and has sent nothing for this long counts as broken, and goes on"""
    slow_factor: Annotated[float, Field(gt=1, strict=False)] = _EJECTION.slow_factor
    """slow is more than this many times the median of the peers"""
    most: Percent = _EJECTION.most
    """the largest share of the replicas that may be out"""
    base_s: Duration = Field(default=_EJECTION.base_s, alias="base")
    """how long the first time; doubled each further time, then one request is tried"""
    longest_s: Duration = Field(default=_EJECTION.longest_s, alias="longest")
    """no longer than this; who was in rotation for so long begins anew"""


class Retries(Strict):
    """When a request of which nothing has reached the client is tried on another replica."""

    enabled: bool = _RETRIES.enabled
    """whether at all"""
    budget: Percent = _RETRIES.budget
    """so many at once, as a share of the open requests"""
    min_per_second: Annotated[float, Field(ge=0, strict=False)] = _RETRIES.min_per_second
    """and so many more each second in any case"""


class GatewayOptions(Strict):
    """What the gateway does about replicas that answer badly."""

    ejection: Ejection = Ejection()
    """which replicas get no requests for a while"""
    retries: Retries = Retries()
    """when a request is tried on another replica"""

    @property
    def spec(self) -> GatewaySpec:
        """The same for the local target."""
        # dict() has the values as they were read; model_dump would write them as a file has them.
        return GatewaySpec(EjectionSpec(**dict(self.ejection)), RetrySpec(**dict(self.retries)))
