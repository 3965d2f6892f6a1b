"""Chaos Mesh's PodChaos, read as its API server and webhooks read it, and the part that a target can inject.

Whatever is accepted means what it means to Chaos Mesh. What Chaos Mesh discovers only when it selects (an
operator without values, an unknown phase) is refused at once: there, such a fault would silently never start.
Source: chaos-mesh/chaos-mesh, `api/v1alpha1` and `config/crd/bases/chaos-mesh.org_podchaos.yaml`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from chaos.quantities import GoDuration, go_atoi, go_duration_ns
from chaos.reading.documents import Document, Problem
from chaos.reading.names import DnsLabel, DnsSubdomain, LabelKey, LabelValue
from chaos.reading.strict import Listed, Strict, build, suggestion

API_VERSION = "chaos-mesh.org/v1alpha1"
OTHER_KINDS = (
    "AWSChaos",
    "AzureChaos",
    "BlockChaos",
    "DNSChaos",
    "GCPChaos",
    "HTTPChaos",
    "IOChaos",
    "JVMChaos",
    "KernelChaos",
    "NetworkChaos",
    "PhysicalMachineChaos",
    "RemoteCluster",
    "Schedule",
    "StatusCheck",
    "StressChaos",
    "TimeChaos",
    "Workflow",
)
"""What else a person may write for Chaos Mesh."""
UNSUPPORTED_ACTIONS = {
    "pod-failure": "swaps every container image for one that only sleeps, and a local replica has no image",
    "container-kill": "kills one container inside a pod that stays, and a local replica is one process",
}

Action = Literal["pod-kill", "pod-failure", "container-kill"]
Mode = Literal["one", "all", "fixed", "fixed-percent", "random-max-percent"]
Operator = Literal["In", "NotIn", "Exists", "DoesNotExist"]
Phase = Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]
PhaseItem = Literal[Phase, "!Pending", "!Running", "!Succeeded", "!Failed", "!Unknown"]
PodField = Literal[
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.nominatedNodeName",
    "status.phase",
    "status.podIP",
]


class _Object(Strict):
    model_config = ConfigDict(alias_generator=to_camel)


class Metadata(_Object):
    """What of an object's metadata a person writes."""

    name: DnsSubdomain
    """the object's name"""
    namespace: DnsLabel
    """the object's namespace: kubectl would take it from your context, a file that means one thing says it"""
    labels: Mapping[LabelKey, LabelValue] = {}
    """the object's own labels"""
    annotations: Mapping[LabelKey, str] = {}
    """the object's own annotations"""


class Expression(_Object):
    """One set-based requirement on labels."""

    key: LabelKey
    """the label's key"""
    operator: Operator
    """In, NotIn, Exists or DoesNotExist"""
    values: Listed[LabelValue] = ()
    """what the label may be, or may not be"""


class Selector(_Object):
    """Which pods may be hit; all parts must match, except that `pods` wins over every other."""

    namespaces: Listed[DnsLabel] = ()
    """where to look, each as often as it is listed; default: the object's own namespace"""
    label_selectors: Mapping[LabelKey, LabelValue] = {}
    """labels that must be equal"""
    expression_selectors: Listed[Expression] = ()
    """set-based requirements on labels"""
    annotation_selectors: Mapping[LabelKey, LabelValue] = {}
    """annotations that must be equal"""
    field_selectors: Mapping[PodField, str] = {}
    """fields that must be equal"""
    pod_phase_selectors: Listed[PhaseItem] = ()
    """phases of which one must hold; `!Pending` excludes one; default: every phase"""
    nodes: Listed[DnsSubdomain] = ()
    """nodes by name; a name that does not exist is an error"""
    node_selectors: Mapping[LabelKey, LabelValue] = {}
    """nodes by label, in addition to `nodes`"""
    pods: Mapping[DnsLabel, Listed[DnsSubdomain]] = {}
    """pods by namespace and name: every other selector is then ignored, missing pods are skipped"""


class PodChaosSpec(_Object):
    """The fault itself; it cannot be changed once applied."""

    action: Action
    """what is done to each victim"""
    mode: Mode
    """how many of the selected pods are hit"""
    selector: Selector
    """which pods may be hit"""
    value: str = ""
    """the mode's number, as text: a count, or a percentage without its sign"""
    grace_period: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """seconds between the polite and the hard signal; 0 is the hard signal at once"""
    duration: GoDuration | None = None
    """how long the fault lasts; a kill ignores it"""
    container_names: Listed[str] = ()
    """containers to hit; a pod-kill ignores it"""
    remote_cluster: str = ""
    """another cluster in which the fault is to happen"""


class PodChaos(_Object):
    """A Chaos Mesh PodChaos as a person writes it, without the status that the cluster adds."""

    api_version: Literal["chaos-mesh.org/v1alpha1"]
    """chaos-mesh.org/v1alpha1"""
    kind: Literal["PodChaos"]
    """PodChaos"""
    metadata: Metadata
    """name and namespace"""
    spec: PodChaosSpec
    """the fault"""


@dataclass(frozen=True, slots=True)
class PodKill:
    """A pod-kill that a target can inject, defaults filled in."""

    name: str
    namespace: str
    selector: Selector
    mode: Mode
    value: str
    grace_period_s: int
    duration_s: float | None
    """As written; a kill is over at once and ignores it. None when absent or empty."""
    manifest_path: Path


def amount(mode: Mode, value: str) -> int | None:
    """The number that a mode needs, None for the modes `one` and `all`, which never look at it.

    Source: `PodSelector.Validate` of Chaos Mesh's `common_webhook.go`.

    Raises:
        ValueError: saying what was expected.
    """
    if mode in ("one", "all"):
        return None
    expected = (
        "a whole number from 1, such as '3'" if mode == "fixed" else "a whole number 1..100, such as '30'"
    )
    try:
        number = go_atoi(value)
    except ValueError as error:
        raise ValueError(expected) from error
    if number < 1 or (mode != "fixed" and number > 100):
        raise ValueError(expected)
    return number


def pod_kill(document: Document) -> PodKill:
    """The fault of one manifest document, with the defaults of Chaos Mesh's mutating webhook.

    Raises:
        InputError: naming file, line, key path, value and what was expected, for every problem.
    """
    _refuse_other_kinds(document)
    chaos = build(document, PodChaos)
    problems = [*_webhook_problems(chaos.spec), *_selector_problems(chaos.spec.selector)]
    problems = problems or [*_unsupported(chaos.spec)]
    if problems:
        raise document.refusal(problems)
    spec = chaos.spec
    own = spec.selector.namespaces or (chaos.metadata.namespace,)
    return PodKill(
        name=chaos.metadata.name,
        namespace=chaos.metadata.namespace,
        selector=spec.selector.model_copy(update={"namespaces": own}),
        mode=spec.mode,
        value=spec.value,
        grace_period_s=spec.grace_period,
        duration_s=go_duration_ns(spec.duration) / 1e9 if spec.duration else None,
        manifest_path=document.path,
    )


def _refuse_other_kinds(document: Document) -> None:
    version, kind = document.values.get("apiVersion"), document.values.get("kind")
    if version == API_VERSION and kind in OTHER_KINDS:
        complaint = "expected PodChaos: this kind is not supported by the local target yet"
        raise document.refusal([Problem(("kind",), complaint, kind)])
    if isinstance(kind, str) and kind != "PodChaos":
        hint = suggestion(kind, ("PodChaos", *OTHER_KINDS))
        raise document.refusal([Problem(("kind",), f"expected a kind of {API_VERSION}{hint}", kind)])


def _webhook_problems(spec: PodChaosSpec) -> Iterator[Problem]:
    try:
        amount(spec.mode, spec.value)
    except ValueError as error:
        yield Problem(("spec", "value"), f"expected for mode {spec.mode} {error}", spec.value)
    if spec.action == "container-kill" and not spec.container_names:
        yield Problem(("spec", "containerNames"), "expected at least one name with container-kill", [])


def _selector_problems(selector: Selector) -> Iterator[Problem]:
    # LabelSelectorAsSelector of k8s.io/apimachinery refuses these; Chaos Mesh calls it only when it selects.
    for index, expression in enumerate(selector.expression_selectors):
        where = ("spec", "selector", "expressionSelectors", index, "values")
        if expression.operator in ("In", "NotIn") and not expression.values:
            yield Problem(where, f"expected at least one value with {expression.operator}", [])
        if expression.operator in ("Exists", "DoesNotExist") and expression.values:
            yield Problem(where, f"expected no values with {expression.operator}", list(expression.values))


def _unsupported(spec: PodChaosSpec) -> Iterator[Problem]:
    if spec.action in UNSUPPORTED_ACTIONS:
        reason = UNSUPPORTED_ACTIONS[spec.action]
        yield Problem(("spec", "action"), f"expected pod-kill: {spec.action} {reason}", spec.action)
    if spec.remote_cluster:
        complaint = "expected no other cluster than the target"
        yield Problem(("spec", "remoteCluster"), complaint, spec.remote_cluster)
