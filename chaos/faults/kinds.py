"""Every kind of fault that can be injected, by API group, kind and action: the one list of them."""

from collections.abc import Iterator, Mapping
from typing import Any

from chaos.faults import (
    command,
    container_kill,
    engine_device_error,
    engine_drain,
    engine_freeze,
    engine_gpu_memory,
    engine_gray_failure,
    engine_kv_exhaustion,
    engine_memory_cap,
    engine_noisy_neighbour,
    engine_rank_loss,
    engine_slow_replica,
    engine_slow_start,
    engine_stuck_stream,
    engine_wrong_weights,
    http,
    network_bandwidth,
    network_corrupt,
    network_delay,
    network_duplicate,
    network_loss,
    network_netem,
    network_partition,
    pod_failure,
    pod_kill,
    sham,
    stress,
    time_chaos,
)
from chaos.faults.doubts import Doubt, duration_doubts, pause_doubts, selection_doubts
from chaos.faults.elsewhere.kinds import ELSEWHERE
from chaos.faults.fault import Fault, Kind
from chaos.faults.manifest import (
    CHAOS_MESH,
    OWN,
    FaultObject,
    FaultSpec,
    Head,
    Selection,
    metadata_problems,
    selection_problems,
)
from chaos.reading.documents import Document, Problem
from chaos.reading.kubernetes import without_added
from chaos.reading.quantities import go_duration_ns
from chaos.reading.strict import build, suggestion

KINDS: tuple[Kind, ...] = (
    pod_kill.KIND,
    pod_failure.KIND,
    container_kill.KIND,
    network_delay.KIND,
    network_loss.KIND,
    stress.KIND,
    network_duplicate.KIND,
    network_corrupt.KIND,
    network_netem.KIND,
    network_bandwidth.KIND,
    network_partition.KIND,
    http.KIND,
    time_chaos.KIND,
    sham.KIND,
    engine_gray_failure.KIND,
    engine_freeze.KIND,
    engine_stuck_stream.KIND,
    engine_slow_replica.KIND,
    engine_kv_exhaustion.KIND,
    engine_drain.KIND,
    engine_slow_start.KIND,
    engine_wrong_weights.KIND,
    engine_rank_loss.KIND,
    engine_device_error.KIND,
    engine_memory_cap.KIND,
    engine_gpu_memory.KIND,
    engine_noisy_neighbour.KIND,
    command.KIND,
)
NAMESPACE = "default"
"""Of an object whose file names none, unless something else is said: kubectl's own, in a fresh context."""


def read_fault(document: Document, namespace: str = NAMESPACE) -> Fault:
    """The fault of one manifest document, with the defaults of Chaos Mesh's mutating webhook.

    Args:
        document: of one object.
        namespace: of an object that names none.

    Raises:
        InputError: naming file, line, key path, value and what was expected, for every problem.
    """
    document = without_added(document)
    kind = _kind_of(document)
    chaos = build(document, kind.manifest)
    if problems := [*_problems(kind, chaos)]:
        raise document.refusal(problems)
    spec, where = chaos.spec, chaos.metadata.namespace or namespace
    return Fault(
        name=chaos.metadata.called,
        namespace=where,
        kind=kind,
        selection=_selection(spec, where) if isinstance(spec, FaultSpec) else None,
        duration_s=_seconds(spec.duration),
        effects=kind.effects(spec),
        document=document,
        spec=_with_namespaces(spec.model_dump(by_alias=True, mode="json"), where),
        doubts=tuple(_doubts(kind, chaos, where)),
        remote_cluster=spec.remote_cluster if isinstance(spec, FaultSpec) else "",
    )


def _seconds(duration: str | None) -> float | None:
    try:
        return go_duration_ns(duration) / 1e9 if duration else None
    except ValueError:  # the one kind whose duration no webhook looks at: a doubt, and it never ends
        return None


def _problems(kind: Kind, chaos: FaultObject) -> Iterator[Problem]:
    for problem in metadata_problems(chaos.metadata):
        yield Problem(("metadata", *problem.key_path), problem.complaint, problem.value)
    spec = chaos.spec
    for problem in (*(selection_problems(spec) if isinstance(spec, FaultSpec) else ()), *kind.problems(spec)):
        yield Problem(("spec", *problem.key_path), problem.complaint, problem.value)


def _doubts(kind: Kind, chaos: FaultObject, namespace: str) -> Iterator[Doubt]:
    spec = chaos.spec
    for doubt in pause_doubts(chaos.metadata, lasts=kind.lasts):
        yield doubt.beneath("metadata")
    of_selection = selection_doubts(spec, namespace) if isinstance(spec, FaultSpec) else ()
    for doubt in (*of_selection, *duration_doubts(spec, lasts=kind.lasts), *kind.doubts(spec)):
        yield doubt.beneath("spec")


def _selection(spec: FaultSpec, namespace: str) -> Selection:
    """The part of the spec that selects; its object's own namespace where it names none."""
    own = spec.selector.namespaces or (namespace,)
    return spec.model_copy(update={"selector": spec.selector.model_copy(update={"namespaces": own})})


def _with_namespaces(spec: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """The same, every selector of it with the namespaces that the webhook fills in."""
    filled = {
        key: _with_namespaces(value, namespace) if isinstance(value, dict) else value
        for key, value in spec.items()
    }
    if isinstance(selector := filled.get("selector"), dict) and not selector.get("namespaces"):
        filled["selector"] = {**selector, "namespaces": [namespace]}
    return filled


def _kind_of(document: Document) -> Kind:
    head = build(document, Head)
    version, name = head.api_version, head.kind
    named = [kind for kind in (*KINDS, *ELSEWHERE) if kind.kind == name]
    if not named:
        raise document.refusal([_unknown_kind(name)])
    if version != named[0].api_version:
        complaint = f"expected {named[0].api_version!r}"
        raise document.refusal([Problem(("apiVersion",), complaint, version)])
    if "scheduler" in head.spec:
        complaint = "expected no such key: since Chaos Mesh 2.0 what recurs is an object of kind Schedule"
        raise document.refusal([Problem(("spec", "scheduler"), complaint, head.spec["scheduler"])])
    action = head.spec.get("action")
    found = [kind for kind in named if kind.action in (None, action)]
    if found:
        return found[0]
    if not isinstance(action, str):  # the model of any of them says what is wrong
        return named[0]
    known = [str(kind.action) for kind in named]
    complaint = f"expected {' or '.join(known)}{suggestion(action, known)}"
    raise document.refusal([Problem(("spec", "action"), complaint, action)])


def _unknown_kind(name: str) -> Problem:
    known = [*dict.fromkeys(kind.kind for kind in (*KINDS, *ELSEWHERE)), "Schedule", "Workflow"]
    hint = suggestion(name, known)
    return Problem(("kind",), f"expected a kind of {CHAOS_MESH} or {OWN}{hint}", name)
