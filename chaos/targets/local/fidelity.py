"""How close a local cluster comes to a fault: told from the fault alone, before there is a cluster."""

from chaos.targets import Asked
from chaos.targets.effects import Fidelity, Link, Nothing, Termination, unsupported
from chaos.targets.local import naming

KIND = "local"


def fidelity(fault: Asked) -> Fidelity:
    """How close a local cluster comes to a fault, before there is one."""
    for effect in fault.effects:
        if not isinstance(effect, Nothing | Termination | Link):
            return unsupported(f"a local cluster has no {type(effect).__name__}")
        if isinstance(effect, Link) and (reason := _beyond_the_gateway(effect)):
            return unsupported(reason)
    return fault.fidelities.get(KIND, unsupported("it is not known what it would come to here"))


def _beyond_the_gateway(link: Link) -> str | None:
    """Why this network is none that replicas have here."""
    if link.outside:
        return f"replicas here talk to nobody outside: {', '.join(link.outside)}"
    if {*link.devices} - {"eth0"}:
        return f"replicas here have one network and no devices: {', '.join(link.devices)}"
    if not (link.toward or {}).items() <= naming.GATEWAY_LABELS.items():
        gateway = ", ".join(f"{key}: {value}" for key, value in naming.GATEWAY_LABELS.items())
        return f"the gateway ({gateway}) is the only other side that replicas have here"
    return None
