"""How close a local cluster comes to a fault: told from the fault and the cluster's spec, before there is a cluster."""

from chaos.targets import Asked
from chaos.targets.effects import Fidelity, unsupported
from chaos.targets.local.means.kinds import means_of
from chaos.targets.local.spec import LocalSpec

KIND = "local"


def fidelity(fault: Asked, spec: LocalSpec, *, here: bool = False) -> Fidelity:
    """How close a cluster of this spec comes to a fault: on any machine, or on this very one."""
    for effect in fault.effects:
        means = means_of(effect)
        if means is None:
            return unsupported(f"a local cluster has no {type(effect).__name__}")
        if reason := means.hindrance(effect, spec) or (means.lack() if here else None):
            return unsupported(reason)
    return fault.fidelities.get(KIND, unsupported("it is not known what it would come to here"))
