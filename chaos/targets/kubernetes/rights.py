"""What the accounts of a run and of the reaper may do, verb by verb, each with the call that needs it.

The Roles under `deploy/` grant exactly this: a test holds them to it, and another one this to the calls that are made.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from chaos.targets.kubernetes.objects import CHAOS_KINDS, CHAOS_MESH, PER_POD

COORDINATION = "coordination.k8s.io"


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource, in the namespace that a Role is of."""

    group: str
    """Empty for core objects."""
    resource: str
    """Plural, with its part: `pods`, `pods/log`."""
    verb: str
    needed_for: str
    """The call that needs it."""

    @property
    def rule(self) -> tuple[str, str, str]:
        """As a Role grants it."""
        return self.group, self.resource, self.verb


def _on_faults(verbs: dict[str, str]) -> tuple[Right, ...]:
    return tuple(
        Right(CHAOS_MESH, kind.lower(), verb, why) for kind in CHAOS_KINDS for verb, why in verbs.items()
    )


def _on_pods(verbs: dict[str, str]) -> tuple[Right, ...]:
    return tuple(
        Right(CHAOS_MESH, kind.lower(), verb, why) for kind in PER_POD.values() for verb, why in verbs.items()
    )


UNDOING: tuple[Right, ...] = (
    *_on_faults(
        {
            "list": "which objects a lost run left",
            "get": "whether it is gone, and what stands in the way",
            "delete": "its end",
            "patch": "its finalizers off, where Chaos Mesh cannot recover it",
        }
    ),
    *_on_pods(
        {"list": "whether a fault left anything in a pod's network", "patch": "what a fault left, out of it"}
    ),
    Right("", "pods", "get", "whether a victim is the one that was hit, and whether it is gone"),
    Right("", "pods", "delete", "a victim that cannot be recovered, where its owner starts another"),
    Right(COORDINATION, "leases", "get", "whose run is alive"),
)
"""What undoing needs, whoever undoes."""
REAPER: tuple[Right, ...] = UNDOING
"""What the reaper may do, and nothing else."""
HOLDING: tuple[Right, ...] = (
    Right(COORDINATION, "leases", "create", "the first run of a namespace"),
    Right(COORDINATION, "leases", "patch", "taking, renewing and giving back"),
)
"""What holding the lease needs, beside looking at it."""
LOOKING: tuple[Right, ...] = (
    Right("", "namespaces", "get", "whether its owner has agreed to faults"),
    Right("", "services", "get", "which port is forwarded, where the file names a Service"),
    Right("apps", "deployments", "get", "how many replicas there should be"),
    Right("apps", "statefulsets", "get", "how many replicas there should be"),
    Right("", "pods", "list", "replicas, as a watch begins with them"),
    Right("", "pods", "watch", "replicas, and what becomes of them"),
    Right("", "events", "list", "when a new replica's image is there, as a watch begins with it"),
    Right("", "events", "watch", "the same"),
    *_on_pods({"get": "why a fault of the network or of HTTP is not in force"}),
)
"""What a run reads."""
PROVING: tuple[Right, ...] = (
    Right("", "pods/proxy", "get", "whether a pod answers, and how fast, by way of the API server"),
    Right("", "pods/proxy", "create", "the same by a POST, where a rule on HTTP is about no other request"),
    # From Kubernetes 1.35 on a websocket is asked for as `create`, before it was `get`.
    Right("", "pods/exec", "get", "whether a pod answers, asked from the other side of a partition"),
    Right("", "pods/exec", "create", "the same"),
    Right("", "pods/portforward", "get", "the load, where the file names a Service and no URL"),
    Right("", "pods/portforward", "create", "the same"),
)
"""What a proof that needs nobody's word takes, and reaching a Service from outside."""
RUNNER: tuple[Right, ...] = (
    *UNDOING,
    *HOLDING,
    *LOOKING,
    *PROVING,
    *_on_faults({"create": "injection", "watch": "when it is in force"}),
)
"""What a run may do."""


def rules(rights: Iterable[Right]) -> set[tuple[str, str, str]]:
    """As a Role grants them: (group, resource, verb)."""
    return {right.rule for right in rights}
