"""Asks a live API server with Chaos Mesh what it says of manifests.

    python -m tests.cluster_admission [--context C] [--write]
    python -m tests.cluster_admission [--context C] [--namespace N] PATH...

A server-side dry run with strict field validation: nothing is created. Without a path it asks again about every small
manifest of `tests/data/kubernetes`, and prints each answer that is not the one on record; `--write` puts the answers on
record instead. With files and folders it asks about every object in them, and prints where `aftershock validate` says
something else, or understands another spec. It ends with 1 where there is any such difference.

Objects of files are asked about in one namespace, whichever they name: whether theirs is there says nothing of them.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from chaos.errors import InputError
from chaos.faults.objects import read_manifest
from chaos.targets.kubernetes.api import Api
from chaos.targets.kubernetes.objects import CHAOS_MESH, NOT_FOUND, ApiError, Collection
from tests.support.kubernetes_answers import differences

RECORD = Path(__file__).parent / "data" / "kubernetes" / "admission.json"
_CALL_S = 30.0
_PLURALS = {"Schedule": "schedules", "Workflow": "workflows", "StatusCheck": "statuschecks"}
VERSION, OWN = "v1alpha1", "aftershock.dev"
_SUFFIXES = (".yaml", ".yml", ".json")


def asked(api: Api, manifest: dict[str, Any]) -> dict[str, Any]:
    """What the server answers: its status, its words where it refuses, and the spec as it would keep it."""
    kind, namespace = manifest["kind"], manifest["metadata"]["namespace"]
    group, _, version = manifest["apiVersion"].rpartition("/")
    version = version if group != CHAOS_MESH else VERSION  # another one is for the server to refuse
    collection = Collection(group, version, _PLURALS.get(kind, kind.lower()), namespace)
    try:
        taken = api.rehearse(collection, manifest, within_s=_CALL_S)
    except ApiError as error:
        return {"status": error.status, "message": str(error)}
    same = taken["spec"] == manifest["spec"]
    return {"status": 201} | ({} if same else {"spec_after": taken["spec"]})


def on_record(api: Api, *, write: bool) -> int:
    """0 where every answer to the small manifests is the one on record."""
    rows, others = json.loads(RECORD.read_text()), 0
    for row in rows:
        now = asked(api, row["manifest"])
        if now["status"] != row["status"] or now.get("spec_after") != row.get("spec_after"):
            others += 1
            print(f"{row['case']}: {row['status']} on record, {now['status']} now {now.get('message', '')}")
            row.update(now)
    if write:
        RECORD.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"{len(rows) - others} of {len(rows)} answers are those on record")
    return 0 if write or not others else 1


def of_files(api: Api, paths: Sequence[Path], namespace: str) -> int:
    """0 where `aftershock validate` says of every file what the server says of the objects in it."""
    files = [*_files(paths)]
    counts = Counter(word for path in files for word in _of_file(api, path, namespace))
    said = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    print(f"{len(files)} files, {counts.total()} objects: {said}")
    return 1 if counts["different"] else 0


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (each for each in inside if each.suffix in _SUFFIXES)


def _of_file(api: Api, path: Path, namespace: str) -> Iterator[str]:
    """What came of each object of a file, in some words."""
    manifests = [each for each in yaml.safe_load_all(path.read_text()) if each]
    ours = _validated(path)
    for manifest in manifests:
        moved = {**manifest, "metadata": {**manifest["metadata"], "namespace": namespace}}
        word, complaints = _compared(ours, moved, asked(api, moved))
        for complaint in complaints:
            print(f"{path}: {manifest['kind']} {manifest['metadata'].get('name')}: {complaint}")
        yield word


def _compared(
    ours: Sequence[Any] | InputError, manifest: dict[str, Any], answer: dict[str, Any]
) -> tuple[str, Sequence[str]]:
    """What one object is, in some words, and what is said of it that differs."""
    group, taken = manifest["apiVersion"].partition("/")[0], answer["status"] == 201
    if isinstance(ours, InputError):
        if group != CHAOS_MESH:
            return f"refused here as no fault ({manifest['kind']})", ()
        return ("different", [f"taken there, refused here: {ours}"]) if taken else ("refused by both", ())
    if group == OWN and answer["status"] == NOT_FOUND:
        return f"known here alone ({OWN})", ()
    if not taken:
        return "different", [f"taken here, refused there: {answer['message']}"]
    with TemporaryDirectory() as folder:  # once more, in the namespace that the server was asked about
        path = Path(folder) / "moved.json"
        path.write_text(json.dumps(manifest))
        (again,) = read_manifest(path)
    theirs = {**(answer.get("spec_after") or manifest["spec"])}
    if manifest["kind"] == "JVMChaos" and "name" not in manifest["spec"]:
        theirs.pop("name")  # it has the second of its creation in it
    wrong = [*differences(theirs, again.spec)]
    return ("different", wrong) if wrong else ("taken by both, as the same", ())


def _validated(path: Path) -> Sequence[Any] | InputError:
    """What `aftershock validate` understands of a file, or why it refuses it."""
    try:
        return read_manifest(path)
    except InputError as error:
        return error


def main() -> int:
    """0 where nothing is different."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", type=Path, nargs="*", metavar="PATH")
    parser.add_argument("--context")
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    with closing(Api.connect(given.context)) as api:
        if given.paths:
            return of_files(api, given.paths, given.namespace)
        return on_record(api, write=given.write)


if __name__ == "__main__":
    sys.exit(main())
