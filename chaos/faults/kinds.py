"""Every kind of fault that can be injected, by API group, kind and action: the one list of them."""

from collections.abc import Iterator

from chaos.faults import (
    command,
    network_bandwidth,
    network_corrupt,
    network_delay,
    network_duplicate,
    network_loss,
    network_netem,
    network_partition,
    pod_kill,
    sham,
)
from chaos.faults.fault import Fault, Kind
from chaos.faults.manifest import CHAOS_MESH, OWN, FaultSpec, Head, Selection, selection_problems
from chaos.reading.documents import Document, Problem
from chaos.reading.quantities import go_duration_ns
from chaos.reading.strict import build, suggestion

KINDS: tuple[Kind, ...] = (
    pod_kill.KIND,
    network_delay.KIND,
    network_loss.KIND,
    network_duplicate.KIND,
    network_corrupt.KIND,
    network_netem.KIND,
    network_bandwidth.KIND,
    network_partition.KIND,
    sham.KIND,
    command.KIND,
)
NOT_YET = (
    "AWSChaos",
    "AzureChaos",
    "BlockChaos",
    "DNSChaos",
    "GCPChaos",
    "HTTPChaos",
    "IOChaos",
    "JVMChaos",
    "KernelChaos",
    "PhysicalMachineChaos",
    "RemoteCluster",
    "Schedule",
    "StatusCheck",
    "StressChaos",
    "TimeChaos",
    "Workflow",
)
"""What else a person may write for Chaos Mesh."""
NOT_YET_ACTIONS = {
    (
        "PodChaos",
        "pod-failure",
    ): "swaps container images for one that only sleeps, and a replica here has no image",
    (
        "PodChaos",
        "container-kill",
    ): "ends one container inside a pod that stays, and a replica here is one process",
}


def read_fault(document: Document) -> Fault:
    """The fault of one manifest document, with the defaults of Chaos Mesh's mutating webhook.

    Raises:
        InputError: naming file, line, key path, value and what was expected, for every problem.
    """
    kind = _kind_of(document)
    chaos = build(document, kind.manifest)
    spec = chaos.spec
    problems = [*kind.problems(spec)]
    if isinstance(spec, FaultSpec):
        problems = [*selection_problems(spec), *problems, *_elsewhere(spec)]
    if problems:
        raise document.refusal(
            Problem(("spec", *problem.key_path), problem.complaint, problem.value) for problem in problems
        )
    return Fault(
        name=chaos.metadata.name,
        namespace=chaos.metadata.namespace,
        kind=kind,
        selection=_selection(spec, chaos.metadata.namespace) if isinstance(spec, FaultSpec) else None,
        duration_s=go_duration_ns(spec.duration) / 1e9 if spec.duration else None,
        effects=kind.effects(spec),
        manifest_path=document.path,
    )


def _selection(spec: FaultSpec, namespace: str) -> Selection:
    """The part of the spec that selects; its object's own namespace where it names none."""
    own = spec.selector.namespaces or (namespace,)
    return spec.model_copy(update={"selector": spec.selector.model_copy(update={"namespaces": own})})


def _kind_of(document: Document) -> Kind:
    head = build(document, Head)
    version, name = head.api_version, head.kind
    named = [kind for kind in KINDS if kind.kind == name]
    if not named:
        raise document.refusal([_unknown_kind(version, name)])
    if version != named[0].api_version:
        complaint = f"expected {named[0].api_version!r}"
        raise document.refusal([Problem(("apiVersion",), complaint, version)])
    action = head.spec.get("action")
    found = [kind for kind in named if kind.action in (None, action)]
    if found:
        return found[0]
    if not isinstance(action, str):  # the model of any of them says what is wrong
        return named[0]
    raise document.refusal([_unknown_action(name, action, [str(kind.action) for kind in named])])


def _unknown_kind(version: str, name: str) -> Problem:
    known = [*dict.fromkeys(kind.kind for kind in KINDS)]
    if name in NOT_YET and version == CHAOS_MESH:
        return Problem(("kind",), f"expected {' or '.join(known)}: this kind is not supported yet", name)
    hint = suggestion(name, (*known, *NOT_YET))
    return Problem(("kind",), f"expected a kind of {CHAOS_MESH} or {OWN}{hint}", name)


def _unknown_action(kind: str, action: str, known: list[str]) -> Problem:
    expected = f"expected {' or '.join(known)}"
    reason = NOT_YET_ACTIONS.get((kind, action))
    if reason is not None:
        return Problem(("spec", "action"), f"{expected}: {action} {reason}", action)
    return Problem(("spec", "action"), f"{expected}{suggestion(action, known)}", action)


def _elsewhere(spec: FaultSpec) -> Iterator[Problem]:
    if spec.remote_cluster:
        yield Problem(("remoteCluster",), "expected no other cluster than the target", spec.remote_cluster)
