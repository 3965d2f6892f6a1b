"""What a fault leaves where: in its object's records, in an object of each pod's, in a pod. Pure reading of objects.

Source of the shapes: a live Chaos Mesh 2.8.3. PodNetworkChaos and PodHttpChaos have the name of their pod, and lists of
rules (`tcs`, `iptables`, `ipsets`; `rules`), each entry with the `source` (namespace/name) of the object that asked for
it. An entry whose object is gone makes every later fault of its kind on that pod fail where it cannot be applied, and
nothing removes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from chaos.targets.kubernetes.objects import Item

ONE_SHOT = ("pod-kill", "container-kill")
"""Actions that are over at once: there is nothing of them to be undone."""
INJECTED = "Injected"
_OUT = "Not Injected"


def records(item: Item) -> Sequence[Item]:
    """One for each victim, of the source and of the target; none before Chaos Mesh has selected."""
    experiment = (item.get("status") or {}).get("experiment") or {}
    return experiment.get("containerRecords") or ()


def complaint(item: Item) -> str:
    """The latest failure that a record which is still in tells of; empty where there is none."""
    failed = (
        event.get("message") or ""
        for record in records(item)
        if record.get("phase") != _OUT
        for event in (record.get("events") or ())[-1:]
        if event.get("type") == "Failed"
    )
    return next(failed, "")


def in_force(item: Item) -> set[tuple[str, str]]:
    """(namespace, pod) of whom a fault may still hit, should its object go now; whoever is half in is among them."""
    if (item.get("spec") or {}).get("action") in ONE_SHOT:
        return set()
    ids = (str(record["id"]).split("/") for record in records(item) if record.get("phase") != _OUT)
    return {(parts[0], parts[1]) for parts in ids}


def namespaces(item: Item) -> set[str]:
    """Where its victims may be."""
    selected = ((item.get("spec") or {}).get("selector") or {}).get("pods") or {}
    of_records = {str(record["id"]).split("/")[0] for record in records(item)}
    return {item["metadata"]["namespace"], *selected, *of_records}


def source(item: Item) -> str:
    """As its entries in an object of a pod's say whose they are."""
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def without_entries(gathered: Item, of_source: str) -> Mapping[str, Any] | None:
    """A merge patch of what is gathered for a pod: without the entries of a source; None where it has none."""
    patch = {
        part: [entry for entry in entries if entry.get("source") != of_source] or None
        for part, entries in (gathered.get("spec") or {}).items()
        if isinstance(entries, list) and any(_is_of(entry, of_source) for entry in entries)
    }
    return patch or None


def unapplied(gathered: Item) -> str | None:
    """Why a pod's network is not what is gathered for it says; None where it is."""
    status = gathered.get("status") or {}
    if status.get("failedMessage"):
        return str(status["failedMessage"])
    if status.get("observedGeneration", 0) < gathered["metadata"].get("generation", 0):
        return "the daemon has not yet applied it"
    return None


def replaced(pod: Item) -> bool:
    """Whether something would start another pod in its place."""
    return any(owner.get("controller") for owner in pod["metadata"].get("ownerReferences") or ())


def younger(pod: Item, item: Item) -> bool:
    """Whether a pod is another one than its namesake that was hit: made after the fault's object is known to be."""
    hit = item["metadata"].get("creationTimestamp")
    return hit is not None and _stamp(pod["metadata"]["creationTimestamp"]) > _stamp(hit)


def names(places: Iterable[str]) -> str:
    """A list in words."""
    return ", ".join(sorted(places))


def _is_of(entry: Any, of_source: str) -> bool:
    return isinstance(entry, Mapping) and entry.get("source") == of_source


def _stamp(text: str) -> datetime:
    return datetime.fromisoformat(text)
