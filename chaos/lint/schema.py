"""What the schema of its kind says of an object: `kubernetes-validate`'s of Kubernetes' own, our models of others.

The package is an extra, imported when the first object needs it. Its data is used, and its function
`validate` is not: that one stops at the first problem, and reads two megabytes for each object.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from chaos.errors import InputError
from chaos.lint.objects import Object
from chaos.lint.shorthand import models
from chaos.reading.documents import KeyPath, Problem
from chaos.reading.kubernetes import without_added
from chaos.reading.strict import suggestion

_KIND = re.compile(r"[A-Za-z]{1,100}")
_VERSION = re.compile(r"v[a-z0-9]{1,40}")
_FEW_KEYS = 12
_EXPECTED = {
    "string": "text: put it in quotes",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping of keys to values",
    "array": "a list",
}


class NotCheckedError(Exception):
    """There is no schema for it, and why."""


def problems(each: Object, version: tuple[int, int]) -> Iterator[Problem]:
    """Where an object is not as its schema says.

    Args:
        each: the object.
        version: of Kubernetes.

    Raises:
        NotCheckedError: nobody knows its schema.
        InputError: the package that has the schemas is not installed, or has none of this version.
    """
    values = without_added(each.document).values
    if each.of_kubernetes:
        yield from _complaints(_of_kubernetes(each, version).iter_errors(values), ())
        return
    known = [model for model in models() if each.type == f"{model.kind}.{_group(model.api_versions[0])}"]
    if not known and "." not in each.group and api_versions(each.kind, version):
        yield Problem(
            ("apiVersion",), f"expected {' or '.join(api_versions(each.kind, version))}", each.api_version
        )
        return
    if not known:
        raise NotCheckedError(f"no schema of {each.api_version} {each.kind} is known here")
    if each.api_version not in known[0].api_versions:
        expected = " or ".join(known[0].api_versions)
        yield Problem(("apiVersion",), f"expected {expected}", each.api_version)
    model = known[0]
    part = values.get("spec", {}) if model.where else values
    validator = _validator_of(model.kind, model.api_versions[0], version)
    yield from _complaints(validator.iter_errors(part), model.where)


def supported() -> list[tuple[int, int]]:
    """The releases of Kubernetes whose schemas there are, oldest first.

    Raises:
        InputError: the package that has them is not installed.
    """
    return [_release(text) for text in _package().all_versions()]


def _group(api_version: str) -> str:
    return api_version.rpartition("/")[0]


def _release(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


@cache
def _package() -> Any:
    try:
        from kubernetes_validate import utils
    except ImportError as error:
        raise InputError(
            f"the schemas of Kubernetes' objects are not installed: {error.name} is missing",
            hint="pip install kubernetes-validate, or this project with its extra `lint`",
        ) from error
    return utils


@cache
def _definitions(version: tuple[int, int]) -> Any:
    """What all schemas of one release refer to, as a registry."""
    from referencing import Registry, Resource

    contents = _package().schema_contents(f"{_folder(version)}/_definitions.json", "")
    return Resource.from_contents(contents) @ Registry()


def _folder(version: tuple[int, int]) -> str:
    return f"kubernetes-json-schema/v{version[0]}.{version[1]}.0-local-strict"


def _of_kubernetes(each: Object, version: tuple[int, int]) -> Any:
    name = each.api_version.rpartition("/")[2]
    if not _KIND.fullmatch(each.kind) or not _VERSION.fullmatch(name):
        raise NotCheckedError(f"{each.api_version!r} {each.kind!r} is no kind of object")
    group = each.group.partition(".")[0]
    stem = f"{each.kind.lower()}-{group}-{name}" if group else f"{each.kind.lower()}-{name}"
    try:
        return _validator(stem, version)
    except FileNotFoundError as error:
        raise NotCheckedError(_absent(each, version)) from error


def _absent(each: Object, version: tuple[int, int]) -> str:
    """That Kubernetes has no such kind, and which it has."""
    release = ".".join(map(str, version))
    there = api_versions(each.kind, version)
    hint = f" (it has {' and '.join(there)})" if there else suggestion(each.kind, _kinds(version))
    return f"Kubernetes {release} has no {each.api_version} {each.kind}{hint}"


def api_versions(kind: str, version: tuple[int, int]) -> Sequence[str]:
    """The API versions in which a release of Kubernetes has a kind; none where it has no such kind."""
    return _kinds(version).get(kind, ())


@cache
def _kinds(version: tuple[int, int]) -> dict[str, tuple[str, ...]]:
    contents = _package().schema_contents(f"{_folder(version)}/_definitions.json", "")
    found: dict[str, tuple[str, ...]] = {}
    for definition in contents["$defs"].values():
        for one in definition.get("x-kubernetes-group-version-kind", ()):
            name = f"{one['group']}/{one['version']}".lstrip("/")
            found[one["kind"]] = (*found.get(one["kind"], ()), name)
    return found


@cache
def _validator(stem: str, version: tuple[int, int]) -> Any:
    return _built(_package().schema_contents(f"{_folder(version)}/{stem}.json", ""), version)


@cache
def _validator_of(kind: str, api_version: str, version: tuple[int, int]) -> Any:
    found = next(model for model in models() if model.kind == kind and api_version in model.api_versions)
    return _built(found.schema, version)


def _built(schema: Mapping[str, Any], version: tuple[int, int]) -> Any:
    from jsonschema.validators import Draft202012Validator

    return Draft202012Validator(schema, registry=_definitions(version))


def _complaints(errors: Iterable[Any], origin: KeyPath) -> Iterator[Problem]:
    seen: set[tuple[KeyPath, str]] = set()
    for error in errors:
        for found in _of_error(error, (*origin, *error.absolute_path)):
            if (found.key_path, found.complaint) not in seen:
                seen.add((found.key_path, found.complaint))
                yield found


def _of_error(error: Any, where: KeyPath) -> Iterator[Problem]:
    match error.validator:
        case "additionalProperties":
            known = list(error.schema.get("properties", {}))
            for key in error.instance.keys() - set(known):
                few = f", expected one of {', '.join(known)}" if len(known) <= _FEW_KEYS else ""
                complaint = f"unknown key{suggestion(key, known)}{few or ', expected none of this name'}"
                yield Problem((*where, key), complaint, error.instance[key])
        case "required":
            for key in (key for key in error.validator_value if key not in error.instance):
                yield Problem((*where, key), "expected this key, got nothing")
        case "type":
            yield Problem(where, f"expected {_either(error.validator_value)}", error.instance)
        case "enum":
            values = [str(value) for value in error.validator_value]
            near = suggestion(str(error.instance), values)
            yield Problem(where, f"expected {' or '.join(values)}{near}", error.instance)
        case "oneOf" | "anyOf":
            kinds = [each.get("type", ()) for each in error.validator_value]
            yield Problem(where, f"expected {_either(*kinds)}", error.instance)
        case _:
            yield Problem(where, f"expected {error.validator} {error.validator_value}", error.instance)


def _either(*types: str | Sequence[str]) -> str:
    """Types of JSON Schema in words; null, which is as good as no key, is none of them."""
    names = [name for one in types for name in ([one] if isinstance(one, str) else one)]
    words = [_EXPECTED[name] for name in dict.fromkeys(names) if name in _EXPECTED]
    return " or ".join(words) or "another value"
