"""The files that are linted together: which of them hold whole objects, and what kustomizations say of them."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from chaos.errors import InputError
from chaos.lint.objects import Object
from chaos.reading.documents import Document
from chaos.reading.kubernetes import objects, read_objects
from chaos.reading.text_file import read_text

SUFFIXES = (".yaml", ".yml", ".json")
_CLAIM = re.compile(r"""^[ \t-]*["'{]*(apiVersion|kind|experiment)\b""", re.MULTILINE)
_NO_OBJECT = "it has neither apiVersion nor kind, and is no experiment"
_KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
_COMPONENT = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml")


@dataclass(frozen=True, slots=True)
class Unchecked:
    """What nobody looked at, and why."""

    path: Path
    line: int
    what: str
    reason: str


@dataclass(slots=True)
class Reading:
    """What was found in the files."""

    objects: list[Object] = field(default_factory=list)
    experiments: list[Path] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)
    refusals: list[InputError] = field(default_factory=list)
    """what could not be read at all"""
    given_tags: set[str] = field(default_factory=set)
    """images whose tag or digest a kustomization sets"""


def read(paths: Sequence[Path]) -> Reading:
    """Every object of every file, and of every file of every folder.

    Raises:
        InputError: a folder holds no file that could be one.
    """
    found, reading = list(dict.fromkeys(_files(paths))), Reading()
    patches: dict[Path, Path] = {}
    for path in found:
        if path.name in _KUSTOMIZATIONS:
            patches |= dict.fromkeys(_read_kustomization(path, reading), path)
    for path in found:
        if path.name in _KUSTOMIZATIONS:
            continue
        if (by := patches.get(Path(os.path.normpath(path.absolute())))) is not None:
            reason = f"{by} makes something else of it: lint what `kubectl kustomize {by.parent}` prints"
            reading.unchecked.append(Unchecked(path, 1, "a part", reason))
            continue
        _read(path, reading)
    return reading


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = sorted(
            file
            for file in path.rglob("*")
            if file.suffix in SUFFIXES and file.is_file() and not _is_hidden(file.relative_to(path))
        )
        if not found:
            raise InputError(f"{path}: expected files that end in {', '.join(SUFFIXES)}, there are none")
        yield from found


def _is_hidden(path: Path) -> bool:
    """Whether it lies in a folder such as .github or .venv: what is for programs, and for no cluster."""
    return any(part.startswith(".") for part in path.parts)


def _read(path: Path, reading: Reading) -> None:
    try:
        for document in read_objects(path):
            _sort(document, reading)
    except InputError as error:
        _refuse(path, error, reading)


def _refuse(path: Path, error: InputError, reading: Reading) -> None:
    if _is_other_yaml(path):
        reading.unchecked.append(Unchecked(path, 1, "a file", _NO_OBJECT))
    else:
        reading.refusals.append(error)


def _is_other_yaml(path: Path) -> bool:
    """Whether it is YAML in which nothing claims to be an object: other programs' files need not be strict."""
    try:
        text = read_text(path)
        for _ in yaml.parse(text, Loader=yaml.SafeLoader):
            pass
    except (InputError, yaml.YAMLError):
        return False
    return _CLAIM.search(text) is None


def _sort(document: Document, reading: Reading) -> None:
    values = document.values
    if "kind" not in values and "version" in values and document.path.name == "Chart.yaml":
        reason = "Helm makes manifests of its chart: lint what `helm template` prints"
        reading.unchecked.append(Unchecked(document.path, document.line(()), "a chart", reason))
    elif "apiVersion" in values or "kind" in values:
        reading.objects.append(Object(document))
    elif "experiment" in values:
        reading.experiments.append(document.path)
    else:
        reading.unchecked.append(Unchecked(document.path, document.line(()), "a document", _NO_OBJECT))


def _read_kustomization(path: Path, reading: Reading) -> list[Path]:
    """The files that it takes as patches and the like; its images are noted."""
    try:
        documents = read_objects(path)
    except InputError as error:
        _refuse(path, error, reading)
        return []
    parts: list[str] = []
    for document in (one for found in documents for one in objects(found)):
        root = Object(document).root
        for image in root.at("images").each():
            if image.at("newTag").exists or image.at("digest").exists:
                reading.given_tags |= {image.at("name").text, image.at("newName").text} - {""}
        for name in ("patches", "patchesJson6902", "replacements"):
            parts += [each.at("path").text for each in root.at(name).each()]
        for name in ("patchesStrategicMerge", "transformers", "generators", "configurations"):
            parts += [each.text for each in root.at(name).each()]
        for name in ("configMapGenerator", "secretGenerator"):
            for each in root.at(name).each():
                parts += [file.text.rpartition("=")[2] for file in each.at("files").each()]
        # Kustomize itself takes one that names neither.
        head = _COMPONENT if document.values.get("kind") == "Component" else _KUSTOMIZATION
        values = head | document.values
        reading.objects.append(Object(replace(document, values=values)))
    beside = path.absolute().parent
    return [Path(os.path.normpath(beside / part)) for part in parts if part and "\n" not in part]
