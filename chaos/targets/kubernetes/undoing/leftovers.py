"""What is known of a fault while it is undone, and what is said of whatever is left of it: never less than its name."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from chaos.targets.kubernetes.marks import run_of
from chaos.targets.kubernetes.objects import PER_POD, Item, Place, place_of
from chaos.targets.kubernetes.undoing.traces import names, namespaces, source

Victim = tuple[str, str]
"""Namespace and name of a pod."""


@dataclass(slots=True)
class Case:
    """One object that is being undone."""

    item: Item
    """As last seen."""
    gone: bool = False
    victims: set[Victim] = field(default_factory=set)
    """Those that may still be hit although the object is gone."""
    bare: set[Victim] = field(default_factory=set)
    """Those of them in whose place nothing would start another."""
    pending: dict[Victim, str] = field(default_factory=dict)
    """Of whom what it left was taken out of what is gathered for them, but is not applied yet, and why."""
    clean: bool = False
    """Whether nothing of it is gathered for any pod, all of that applied."""
    looked: bool = False
    """Whether all of them could be looked at once its object was gone."""
    why: str = ""
    """What stands in the way, as last heard."""
    refused: str = ""
    """What the API server had against the last step that it was asked for; empty where it did that."""
    next_s: float = 0.0
    """Not to be tried before: the server said when."""

    @property
    def place(self) -> Place:
        """Where it lies."""
        return place_of(self.item)

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.item['kind']} {source(self.item)}"

    @property
    def per_pod(self) -> str:
        """The kind of object in which it leaves something for each pod; empty where it does in none."""
        return PER_POD.get(str(self.item["kind"]), "")

    def is_same(self, found: Item) -> bool:
        """Whether what is there now under its name is it; by its run, where it is not known to have been created."""
        uid = self.item["metadata"].get("uid")
        return found["metadata"]["uid"] == uid if uid else run_of(found) == run_of(self.item)

    def settle(self, pod: Victim, why: str | None) -> None:
        """Take in why a pod may still be hit; None where it is not."""
        if why is not None:
            self.pending[pod] = why
        else:
            self.pending.pop(pod, None)
            self.victims.discard(pod)


def left_of(case: Case, kubectl: str) -> Iterator[tuple[str, str]]:
    """What is left of a fault once every resort was tried, in words, and what a person can type."""
    place = case.place
    here = f"{kubectl} -n {place.collection.namespace}"
    if not case.gone:
        off = json.dumps({"metadata": {"finalizers": None}}, separators=(",", ":"))
        target = f"{place.collection.resource} {place.name}"
        yield (
            f"{case.name} is still there: {case.refused or case.why or 'it was not recovered in time'}",
            f"{here} delete {target} --wait=false; {here} patch {target} --type=merge -p '{off}'",
        )
        return
    for namespace, name in sorted(case.victims):
        why = case.pending.get((namespace, name)) or case.why or "it was not recovered"
        alone = ", and nothing would start it again" if (namespace, name) in case.bare else ""
        yield (
            f"pod {namespace}/{name} may still be hit by {case.name}, whose object is gone: {why}{alone}",
            f"{kubectl} -n {namespace} delete pod {name}",
        )
    if case.per_pod and not case.clean and not case.looked:
        where = names(namespaces(case.item))
        yield (
            f"nobody could look into {case.per_pod} in {where} for what {case.name} left: {case.why}",
            f"{here} get {case.per_pod.lower()}.chaos-mesh.org -o yaml | grep 'source: {source(case.item)}'",
        )
