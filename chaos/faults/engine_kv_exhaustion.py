"""EngineChaos kv-exhaustion: a share of the KV cache belongs to nobody who computes."""

from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.engine import EngineChaos
from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultSpec
from chaos.reading.quantities import Percent
from chaos.targets.effects import exact
from chaos.targets.engine_effects import KvReservation


class KvExhaustionSpec(FaultSpec):
    """The reservation."""

    action: Literal["kv-exhaustion"]
    """what is done to each victim"""
    share: Annotated[Percent, Field(gt=0)]
    """of all KV blocks, such as 90%; requests that fit into none of the rest wait until it is over"""


class KvExhaustionChaos(EngineChaos):
    """An EngineChaos whose action is kv-exhaustion."""

    spec: KvExhaustionSpec
    """the fault"""


def _effects(spec: KvExhaustionSpec) -> tuple[KvReservation, ...]:
    return (KvReservation(spec.share),)


KIND = Kind(
    api_version=OWN,
    kind="EngineChaos",
    action="kv-exhaustion",
    manifest=KvExhaustionChaos,
    effects=_effects,
    plane="application",
    done="had little KV cache left",
    fidelities={"local": exact("the blocks are really held, in the reference server's own pool")},
)
