"""What all fault objects have in common: name, selector, mode, duration. As Chaos Mesh's API server reads it.

Whatever is accepted means what it means to Chaos Mesh. What Chaos Mesh discovers only when it selects (an
operator without values, an unknown phase) is refused at once: there, such a fault would silently never start.
Source: chaos-mesh/chaos-mesh, `api/v1alpha1` and `config/crd/bases`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from chaos.reading.documents import Problem
from chaos.reading.names import DnsLabel, DnsSubdomain, LabelKey, LabelValue
from chaos.reading.quantities import GoDuration, go_atoi
from chaos.reading.strict import Listed, Strict

CHAOS_MESH = "chaos-mesh.org/v1alpha1"
OWN = "aftershock.dev/v1alpha1"
"""The API group of faults that Chaos Mesh has no kind for; selector, mode and duration are the same."""

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


class Camel(Strict):
    """What a Kubernetes object consists of: keys in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel)


class Metadata(Camel):
    """What of an object's metadata a person writes."""

    name: DnsSubdomain
    """the object's name"""
    namespace: DnsLabel
    """the object's namespace: kubectl would take it from your context, a file that means one thing says it"""
    labels: Mapping[LabelKey, LabelValue] = {}
    """the object's own labels"""
    annotations: Mapping[LabelKey, str] = {}
    """the object's own annotations"""


class Expression(Camel):
    """One set-based requirement on labels."""

    key: LabelKey
    """the label's key"""
    operator: Operator
    """In, NotIn, Exists or DoesNotExist"""
    values: Listed[LabelValue] = ()
    """what the label may be, or may not be"""


class Selector(Camel):
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


class Selection(Camel):
    """Which pods, and how many of them."""

    mode: Mode
    """how many of the selected pods are hit"""
    selector: Selector
    """which pods may be hit"""
    value: str = ""
    """the mode's number, as text: a count, or a percentage without its sign"""


class FaultSpec(Selection):
    """What the spec of every fault has; it cannot be changed once applied."""

    duration: GoDuration | None = None
    """how long the fault lasts; one that is over at once ignores it"""
    remote_cluster: str = ""
    """another cluster in which the fault is to happen"""


class WholeSpec(Camel):
    """What the spec of a fault has that selects nothing, because it hits the service as a whole."""

    duration: GoDuration | None = None
    """how long the fault lasts"""


class Head(Camel):
    """What tells which kind of fault an object is."""

    api_version: str
    """the API group and its version"""
    kind: str
    """the kind of fault"""
    metadata: Mapping[str, Any]
    """name and namespace"""
    spec: Mapping[str, Any]
    """the fault"""


class FaultObject(Camel):
    """One fault as a person writes it, without the status that a cluster adds."""

    api_version: str
    """the API group and its version"""
    kind: str
    """the kind of fault"""
    metadata: Metadata
    """name and namespace"""
    spec: FaultSpec | WholeSpec
    """the fault"""


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


def selection_problems(selection: Selection) -> Iterator[Problem]:
    """What Chaos Mesh would refuse or never select with; key paths begin within the selection."""
    try:
        amount(selection.mode, selection.value)
    except ValueError as error:
        yield Problem(("value",), f"expected for mode {selection.mode} {error}", selection.value)
    # LabelSelectorAsSelector of k8s.io/apimachinery refuses these; Chaos Mesh calls it only when it selects.
    for index, expression in enumerate(selection.selector.expression_selectors):
        where = ("selector", "expressionSelectors", index, "values")
        if expression.operator in ("In", "NotIn") and not expression.values:
            yield Problem(where, f"expected at least one value with {expression.operator}", [])
        if expression.operator in ("Exists", "DoesNotExist") and expression.values:
            yield Problem(where, f"expected no values with {expression.operator}", list(expression.values))
