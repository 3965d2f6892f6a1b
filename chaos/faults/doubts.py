"""What an API server takes, and nobody can have meant: said by name, and run only where it is accepted by name.

Chaos Mesh discovers the one half of these only when it selects or injects: such a fault never starts, and nobody is
told. The other half it does as written, which is more, or for longer, than a reader of the file would think.
Source: chaos-mesh/chaos-mesh, `pkg/selector`, `controllers/chaosimpl`; what its webhooks let through, seen on 2.8.3.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from chaos.faults.manifest import FaultSpec, Metadata, Selection, Selector, WholeSpec
from chaos.reading.documents import KeyPath, Problem
from chaos.reading.names import is_label_key, is_label_value, is_namespace
from chaos.reading.quantities import go_duration_ns

NO_END = "no-end"
"""The one doubt that an experiment settles by itself: it has an `until`."""
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.nominatedNodeName",
    "status.phase",
    "status.podIP",
)
_OF_THE_SYSTEM = ("kube-system", "kube-public", "kube-node-lease", "chaos-mesh")
_NEVER_STARTS = "Chaos Mesh takes it, and then selects nobody, for ever"


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing of a manifest that an API server takes and nobody can have meant."""

    name: str
    """By which a run accepts it: `whole-namespace`."""
    problem: Problem
    """Where, and what it would come to."""
    starts: bool = True
    """False where Chaos Mesh would never have such a fault in force: then there is nothing to accept."""

    def beneath(self, *key_path: str | int) -> "Doubt":
        """The same, seen from further outside."""
        return replace(self, problem=replace(self.problem, key_path=(*key_path, *self.problem.key_path)))


def never(name: str, key_path: KeyPath, complaint: str, value: object) -> Doubt:
    """A doubt about what would never be in force."""
    return Doubt(name, Problem(key_path, complaint, value), starts=False)


def selection_doubts(selection: Selection, namespace: str) -> Iterator[Doubt]:
    """Of who is hit, and how many; key paths begin within the selection."""
    if selection.mode in ("one", "all") and selection.value:
        complaint = f"expected no value: mode {selection.mode} never looks at it"
        yield Doubt("value-ignored", Problem(("value",), complaint, selection.value))
    for doubt in _selector_doubts(selection.selector, namespace):
        yield doubt.beneath("selector")


def duration_doubts(spec: FaultSpec | WholeSpec, *, lasts: bool) -> Iterator[Doubt]:
    """Of how long it lasts; none of one that is over at once, which ignores its duration."""
    if not lasts:
        return
    try:
        lasts_ns = go_duration_ns(spec.duration) if spec.duration else None
    except ValueError:
        complaint = (
            "expected a duration: this one cannot be read, and the fault is in force until it is deleted"
        )
        yield Doubt("unreadable-duration", Problem(("duration",), complaint, spec.duration))
        return
    if lasts_ns is None:
        complaint = "expected a duration: without one it is in force until it is deleted"
        yield Doubt(NO_END, Problem(("duration",), complaint))
    elif lasts_ns <= 0:
        complaint = "expected a duration above zero: this one is over before anything is injected"
        yield never("over-at-once", ("duration",), complaint, spec.duration)


def pause_doubts(metadata: Metadata, *, lasts: bool) -> Iterator[Doubt]:
    """Of a fault that waits for an annotation to go; what is over at once does not. Key paths begin within metadata."""
    if metadata.paused and lasts:
        complaint = "expected no pause: while it is there, nothing is injected"
        yield never("paused", ("annotations",), complaint, "true")


def _selector_doubts(selector: Selector, namespace: str) -> Iterator[Doubt]:
    conditions = selector.model_dump(exclude={"namespaces"})
    if not any(conditions.values()):
        where = " and ".join(selector.namespaces) or namespace
        complaint = (
            f"expected a condition, such as labelSelectors: without one, every pod of {where} is meant"
        )
        yield Doubt("whole-namespace", Problem((), complaint))
    for name in dict.fromkeys((*selector.namespaces, *selector.pods)):
        if name in _OF_THE_SYSTEM:
            complaint = "expected no namespace that the cluster itself lives in"
            yield Doubt("system-namespace", Problem((_where_named(selector, name),), complaint, name))
        elif not is_namespace(name):
            complaint = f"expected the name of a namespace: {_NEVER_STARTS}"
            yield never("impossible-name", (_where_named(selector, name),), complaint, name)
    yield from _label_doubts(selector)
    yield from _expression_doubts(selector)
    for index, phase in enumerate(selector.pod_phase_selectors):
        if phase.removeprefix("!") not in _PHASES:
            complaint = f"expected one of {', '.join(_PHASES)}, or such with a '!': {_NEVER_STARTS}"
            yield never("unknown-phase", ("podPhaseSelectors", index), complaint, phase)
    for field, value in selector.field_selectors.items():
        if field not in _FIELDS:
            complaint = (
                f"expected a field that pods can be selected by ({', '.join(_FIELDS)}): {_NEVER_STARTS}"
            )
            yield never("unknown-field", ("fieldSelectors", field), complaint, value)


def _where_named(selector: Selector, namespace: str) -> str:
    return "namespaces" if namespace in selector.namespaces else "pods"


def _label_doubts(selector: Selector) -> Iterator[Doubt]:
    labels = {
        "labelSelectors": selector.label_selectors,
        "annotationSelectors": selector.annotation_selectors,
        "nodeSelectors": selector.node_selectors,
    }
    for where, pairs in labels.items():
        for key, value in pairs.items():
            if not is_label_key(key) or not is_label_value(value):
                complaint = (
                    f"expected a key such as app and a value of at most 63 letters, digits, inner '-', '_', '.': "
                    f"{_NEVER_STARTS}"
                )
                yield never("impossible-label", (where, key), complaint, value)


def _expression_doubts(selector: Selector) -> Iterator[Doubt]:
    for index, expression in enumerate(selector.expression_selectors):
        where = ("expressionSelectors", index)
        values, operator = [*expression.values], expression.operator
        if operator not in _OPERATORS:
            complaint = f"expected one of {', '.join(_OPERATORS)}: {_NEVER_STARTS}"
            yield never("unknown-operator", (*where, "operator"), complaint, operator)
        elif operator in ("In", "NotIn") and not values:
            complaint = f"expected at least one value with {operator}: {_NEVER_STARTS}"
            yield never("no-values", (*where, "values"), complaint, values)
        elif operator in ("Exists", "DoesNotExist") and values:
            complaint = f"expected no values with {operator}: {_NEVER_STARTS}"
            yield never("needless-values", (*where, "values"), complaint, values)
        if not is_label_key(expression.key) or not all(map(is_label_value, values)):
            complaint = f"expected a label's key, and values that a label can have: {_NEVER_STARTS}"
            yield never("impossible-label", where, complaint, f"{expression.key} {operator} {values}")
