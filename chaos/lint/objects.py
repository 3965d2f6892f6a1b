"""The objects of all files that are linted together: who each is, and who refers to whom."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from chaos.lint.place import Place
from chaos.reading.documents import Document

_OF_KUBERNETES = re.compile(
    r"(|apps|autoscaling|batch|extensions|policy|(admissionregistration|apiextensions|apiregistration|authentication|authorization|certificates"
    r"|coordination|discovery|events|flowcontrol\.apiserver|internal\.apiserver|networking|node"
    r"|rbac\.authorization|resource|scheduling|storage|storagemigration)\.k8s\.io)"
)


@dataclass(frozen=True)
class Object:
    """One object of a file."""

    document: Document

    @cached_property
    def root(self) -> Place:
        """All of it."""
        return Place(self.document.values)

    @property
    def api_version(self) -> str:
        """Its API group and version, such as `apps/v1`; empty where it names none."""
        return self.root.at("apiVersion").text

    @property
    def group(self) -> str:
        """Its API group; empty for the one that has no name."""
        return self.api_version.rpartition("/")[0]

    @property
    def kind(self) -> str:
        """Its kind, as it calls itself."""
        return self.root.at("kind").text

    @property
    def of_kubernetes(self) -> bool:
        """Whether its API group is one of Kubernetes' own."""
        return _OF_KUBERNETES.fullmatch(self.group) is not None

    @property
    def type(self) -> str:
        """Its kind, and the group where it is not Kubernetes' own: `Service`, `Service.serving.knative.dev`."""
        return self.kind if self.of_kubernetes else f"{self.kind}.{self.group}"

    @property
    def name(self) -> str:
        """Its name, or what a cluster makes one of."""
        metadata = self.root.at("metadata")
        return metadata.at("name").text or metadata.at("generateName").text

    @property
    def namespace(self) -> str:
        """Its namespace; empty where the file names none."""
        return self.root.at("metadata", "namespace").text

    @property
    def spec(self) -> Place:
        """What it asks for."""
        return self.root.at("spec")

    def beside(self, other: "Object") -> bool:
        """Whether both can be in one namespace: whoever applies a file says it, where the file does not."""
        return not self.namespace or not other.namespace or self.namespace == other.namespace


@dataclass(frozen=True)
class Inventory:
    """Every object of the files that are linted together."""

    objects: Sequence[Object]
    given_tags: frozenset[str] = frozenset()
    """images whose tag or digest a kustomization sets"""
    version: tuple[int, int] = (1, 36)
    """of the Kubernetes that they are for"""

    def of(self, *types: str) -> Iterator[Object]:
        """The objects of these types."""
        return (each for each in self.objects if each.type in types)


def selects(selector: Place, labels: dict[str, str]) -> bool:
    """Whether a LabelSelector matches; an empty one matches everything, and none at all nothing.

    Source: Kubernetes' API reference, `LabelSelector`.
    """
    if not isinstance(selector.value, dict):
        return False
    equal = selector.at("matchLabels").labels.items() <= labels.items()
    return equal and all(_holds(each, labels) for each in selector.at("matchExpressions").each())


def _holds(requirement: Place, labels: dict[str, str]) -> bool:
    key = requirement.at("key").text
    values = [each.text for each in requirement.at("values").each()]
    match requirement.at("operator").text:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
