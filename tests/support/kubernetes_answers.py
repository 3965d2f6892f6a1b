"""What an API server with Chaos Mesh answered to manifests: small ones here, its own files beside the checkout."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.given_data import FOLDER

RECORD = Path(__file__).parent.parent / "data" / "kubernetes" / "admission.json"
"""`python -m tests.cluster_admission` asks a live server again."""


@dataclass(frozen=True)
class Answer:
    """One manifest, and what was answered."""

    case: str
    manifest: Mapping[str, Any]
    taken: bool
    spec: Mapping[str, Any]
    """As the server would keep it."""


def answers() -> Iterator[Answer]:
    """Of every small manifest."""
    for row in json.loads(RECORD.read_text()):
        manifest = row["manifest"]
        yield Answer(row["case"], manifest, row["status"] == 201, row.get("spec_after") or manifest["spec"])


def files() -> Iterator[tuple[Path, list[bool]]]:
    """Chaos Mesh's own files, and whether each object of them is taken; none where the folder is absent."""
    path = FOLDER / "kubernetes" / "admission-of-files.json"
    for name, rows in json.loads(path.read_text()).items() if path.is_file() else ():
        for file in (FOLDER / "chaos-mesh").rglob(name):
            yield file, [row["status"] == 201 for row in rows]


def differences(theirs: Any, ours: Any, where: tuple[str | int, ...] = ()) -> Iterator[str]:
    """What two specs mean differently: a key that is empty is as good as one that is absent."""
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        for key in theirs.keys() | ours.keys():
            yield from differences(theirs.get(key), ours.get(key), (*where, key))
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        for index, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from differences(one, other, (*where, index))
    elif theirs != ours and not (_empty(theirs) and _empty(ours)):
        yield f"{where}: {theirs!r} there, {ours!r} here"


def _empty(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_empty, value.values()))
    return value in (None, "", 0, [], False)
