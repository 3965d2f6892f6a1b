"""What all fault objects have in common: name, selector, mode, duration. As Chaos Mesh's API server reads it.

Whatever is accepted means what it means to Chaos Mesh, and whatever its API server refuses is refused. What it takes
although nobody can have meant it is a doubt (`chaos.faults.doubts`), not a problem.
Source: chaos-mesh/chaos-mesh, `api/v1alpha1` and `config/crd/bases`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from chaos.reading.documents import Problem
from chaos.reading.names import DnsLabel, DnsSubdomain, LabelKey, LabelValue, NamePrefix
from chaos.reading.quantities import GoDuration, go_atoi
from chaos.reading.strict import Listed, Strict

CHAOS_MESH = "chaos-mesh.org/v1alpha1"
OWN = "aftershock.dev/v1alpha1"
"""The API group of faults that Chaos Mesh has no kind for; selector, mode and duration are the same."""

PAUSE = "experiment.chaos-mesh.org/pause"
"""The annotation that keeps a fault that lasts from being in force, when it is the text `true`."""
Mode = Literal["one", "all", "fixed", "fixed-percent", "random-max-percent"]


class Camel(Strict):
    """What a Kubernetes object consists of: keys in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel)


class Metadata(Camel):
    """What of an object's metadata a person writes."""

    name: DnsSubdomain = ""
    """the object's name"""
    generate_name: NamePrefix = ""
    """what its name begins with, where a cluster is to draw the rest"""
    namespace: DnsLabel | None = None
    """the object's namespace; absent: that of whoever applies the file"""
    labels: Mapping[LabelKey, LabelValue] = {}
    """the object's own labels"""
    annotations: Mapping[LabelKey, str] = {}
    """the object's own annotations"""

    @property
    def called(self) -> str:
        """Its name, without what a cluster would draw."""
        return self.name or self.generate_name.rstrip("-.")

    @property
    def paused(self) -> bool:
        """Whether Chaos Mesh's pause annotation is on it."""
        return self.annotations.get(PAUSE) == "true"


class Expression(Camel):
    """One set-based requirement on labels."""

    key: str = ""
    """the label's key"""
    operator: str = ""
    """In, NotIn, Exists or DoesNotExist"""
    values: Listed[str] = ()
    """what the label may be, or may not be"""


class Selector(Camel):
    """Which pods may be hit; all parts must match, except that `pods` wins over every other."""

    namespaces: Listed[str] = ()
    """where to look, each as often as it is listed; default: the object's own namespace"""
    label_selectors: Mapping[str, str] = {}
    """labels that must be equal"""
    expression_selectors: Listed[Expression] = ()
    """set-based requirements on labels"""
    annotation_selectors: Mapping[str, str] = {}
    """annotations that must be equal"""
    field_selectors: Mapping[str, str] = {}
    """fields that must be equal"""
    pod_phase_selectors: Listed[str] = ()
    """phases of which one must hold; `!Pending` excludes one; default: every phase"""
    nodes: Listed[str] = ()
    """nodes by name; a name that does not exist is an error"""
    node_selectors: Mapping[str, str] = {}
    """nodes by label, in addition to `nodes`"""
    pods: Mapping[str, Listed[str]] = {}
    """pods by namespace and name: every other selector is then ignored, missing pods are skipped"""


class Selection(Camel):
    """Which pods, and how many of them."""

    mode: Mode
    """how many of the selected pods are hit"""
    selector: Selector = Selector()
    """which pods may be hit; without any condition, all of the object's namespace"""
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
    """What tells what an object is."""

    api_version: str
    """the API group and its version"""
    kind: str
    """the kind of object"""
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


def metadata_problems(metadata: Metadata) -> Iterator[Problem]:
    """What an API server refuses of it beside its shapes; key paths begin within it."""
    if not metadata.called:
        yield Problem(("name",), "expected this key (the object's name), got nothing")


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
