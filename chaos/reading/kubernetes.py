"""Objects as Kubernetes' tools write them: several in a file, in lists, and with what a cluster adds to each."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaos.reading.documents import Document, Problem, read_documents

_ADDED = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)
_NOTE = "added by a cluster, and left aside"


def read_objects(path: Path) -> tuple[Document, ...]:
    """Every object of a file: of each of its documents, and of the lists among them.

    Raises:
        InputError: the file is not YAML or JSON as we read it, or a list holds something else than objects.
    """
    return tuple(found for document in read_documents(path) for found in objects(document))


def objects(document: Document) -> tuple[Document, ...]:
    """The one object of a document, or those of the `kind: List` that it is.

    Raises:
        InputError: it is a list of something else than objects.
    """
    kind = document.values.get("kind")
    if not (isinstance(kind, str) and kind.endswith("List") and "items" in document.values):
        return (document,)
    items = document.values["items"]
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise document.refusal([Problem(("items",), "expected a list of objects", items)])
    return tuple(_item(document, index, item) for index, item in enumerate(items))


def without_added(document: Document) -> Document:
    """An object as a person would have written it, with a note for each thing that a cluster added to it."""
    for key_path in _added(document.values):
        document = document.without(key_path, _NOTE)
    return document


def part(
    document: Document,
    kind: str,
    where: tuple[str | int, ...],
    spec: Mapping[str, Any],
    name: str | None = None,
) -> Document:
    """An object of another kind that an object holds the spec of.

    Args:
        document: the object.
        kind: of the part.
        where: its spec stands, beneath the object's.
        spec: of the part.
        name: of the part; None for the object's own.
    """
    metadata = {key: value for key, value in document.values["metadata"].items() if key != "annotations"}
    metadata |= {} if name is None else {"name": name}
    values = {**document.values, "kind": kind, "metadata": metadata, "spec": dict(spec)}
    return replace(document, values=values, spec_at=(*document.spec_at, *where), notes=())


def _item(document: Document, index: int, item: dict[str, Any]) -> Document:
    # What the list itself has to note is noted once.
    notes = document.notes if index == 0 else ()
    return replace(document, values=item, origin=("items", index), notes=notes)


def _added(values: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    if "status" in values:
        yield ("status",)
    metadata = values.get("metadata")
    if isinstance(metadata, dict):
        yield from (("metadata", name) for name in _ADDED if name in metadata)
