"""Every object that a manifest may hold, read by its kind: faults, and what makes faults in the course of time."""

from functools import partial
from pathlib import Path

from chaos.faults.kinds import NAMESPACE, read_fault
from chaos.faults.occurrence import Alone, Planned
from chaos.faults.schedule import read_schedule
from chaos.faults.workflow import read_workflow
from chaos.reading.documents import Document
from chaos.reading.kubernetes import read_objects


def read_object(document: Document, namespace: str = NAMESPACE, *, inner: bool = False) -> Planned:
    """What one manifest document holds, with the defaults of Chaos Mesh's webhooks.

    Args:
        document: of one object.
        namespace: of an object that names none.
        inner: it is part of a Workflow.

    Raises:
        InputError: naming file, line, key path, value and what was expected, for every problem.
    """
    match document.values.get("kind"):
        case "Schedule":
            return read_schedule(document, namespace, read_object, inner=inner)
        case "Workflow":
            return read_workflow(document, namespace, partial(read_object, inner=True))
        case _:
            return Alone(read_fault(document, namespace))


def read_manifest(path: Path, namespace: str = NAMESPACE) -> tuple[Planned, ...]:
    """Every object of a file.

    Raises:
        InputError: as `read_object`, for the first object that is wrong; or the file cannot be read.
    """
    return tuple(read_object(document, namespace) for document in read_objects(path))
