"""How close a cluster with Chaos Mesh comes to a fault: told from the fault alone, before any cluster is asked."""

from chaos.targets import Asked
from chaos.targets.effects import (
    Crash,
    Fidelity,
    Link,
    MemoryStress,
    Nothing,
    Outage,
    ProcessorStress,
    Termination,
    unsupported,
)
from chaos.targets.http.effects import HttpRule
from chaos.targets.kubernetes.evidence.link import visible

KIND = "kubernetes"
_NO_KIND = unsupported("where nothing could prove it: Chaos Mesh has no such kind")
_SEEN = (Nothing, Termination, Crash, Outage, ProcessorStress, MemoryStress, Link, HttpRule)


def fidelity(fault: Asked) -> Fidelity:
    """What a fault comes to: exact where Chaos Mesh does it, and only where somebody else can see it."""
    for effect in fault.effects:
        if not isinstance(effect, _SEEN):
            return fault.fidelities.get(KIND, _NO_KIND)
        if isinstance(effect, Link) and (why := visible(effect)) is not None:
            return unsupported(why)
        if isinstance(effect, HttpRule) and effect.encrypted:
            return unsupported(
                "what is encrypted cannot be looked into, so that nothing could prove it: leave tls out"
            )
    return fault.fidelities.get(KIND, _NO_KIND)
