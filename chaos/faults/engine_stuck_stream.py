"""EngineChaos stuck-stream: answers that begin well, and get stuck, break off or end as none should."""

from typing import Annotated, Literal

from pydantic import Field

from chaos.faults.engine import IN_THE_ENGINE, EngineChaos
from chaos.faults.fault import Kind
from chaos.faults.manifest import OWN, FaultSpec
from chaos.reading.quantities import Duration
from chaos.targets.engine_effects import StuckStream


class StuckStreamSpec(FaultSpec):
    """The streams."""

    action: Literal["stuck-stream"]
    """what is done to each victim"""
    way: Literal["silence", "drip", "reset", "end", "abort", "error"] = "silence"
    """what becomes of a stream: nothing more comes; a token each `drip`; the connection is reset; it ends without its \
terminal event; it ends politely with a finish_reason of abort; an event in it is an error"""
    after_tokens: Annotated[int, Field(ge=0, le=100_000)] = 8
    """so many tokens come in order before"""
    drip: Duration = 1.0
    """between two tokens, where the way is drip"""


class StuckStreamChaos(EngineChaos):
    """An EngineChaos whose action is stuck-stream."""

    spec: StuckStreamSpec
    """the fault"""


def _effects(spec: StuckStreamSpec) -> tuple[StuckStream, ...]:
    return (StuckStream(spec.way, spec.after_tokens, spec.drip),)


KIND = Kind(
    api_version=OWN,
    kind="EngineChaos",
    action="stuck-stream",
    manifest=StuckStreamChaos,
    effects=_effects,
    plane="application",
    done="broke their streams",
    fidelities={"local": IN_THE_ENGINE},
)
