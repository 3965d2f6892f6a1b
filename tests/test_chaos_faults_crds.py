"""Our models have the keys of Chaos Mesh's own CRDs, all of them and no others; what we ship fits into these."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaos.faults.elsewhere.kinds import ELSEWHERE
from chaos.faults.kinds import KINDS
from chaos.faults.manifest import CHAOS_MESH
from chaos.faults.schedule import ScheduleObject
from chaos.faults.workflow_object import WorkflowObject
from tests.support.given_data import ABSENT, FOLDER

CRDS = sorted((FOLDER / "chaos-mesh" / "crds").glob("*.yaml"))
SHIPPED = sorted((Path(__file__).parent.parent / "chaos" / "manifests").glob("*.yaml"))
MODELS = [(kind.kind, kind.manifest) for kind in (*KINDS, *ELSEWHERE) if kind.api_version == CHAOS_MESH]
MODELS_BY_KIND: dict[str, list[Any]] = {"Schedule": [ScheduleObject], "Workflow": [WorkflowObject]}
for name, model in MODELS:
    MODELS_BY_KIND.setdefault(name, []).append(model)


@cache
def crd(path: Path) -> tuple[str, Mapping[str, Any]]:
    """The kind that a CRD declares, and the schema of its spec."""
    # Three of them have ten thousand lines and more.
    declared = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["spec"]
    (version,) = declared["versions"]
    return declared["names"]["kind"], version["schema"]["openAPIV3Schema"]["properties"]["spec"]


def keys_of_schema(schema: Mapping[str, Any], definitions: Mapping[str, Any], deep: int = 6) -> set[str]:
    """Every key beneath a schema, as dotted paths; what is free to have any is not looked into."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    found: set[str] = set()
    for inner in (*schema.get("anyOf", ()), schema.get("items", {})):
        found |= keys_of_schema(inner, definitions, deep) if inner else set()
    for key, inner in schema.get("properties", {}).items() if deep else ():
        found.add(key)
        found |= {f"{key}.{path}" for path in keys_of_schema(inner, definitions, deep - 1)}
    return found


def keys_of_models(kind: str) -> set[str]:
    found: set[str] = set()
    for model in MODELS_BY_KIND[kind]:
        schema = model.model_json_schema(by_alias=True)
        definitions = schema.get("$defs", {})
        found |= keys_of_schema(schema["properties"]["spec"], definitions)
    return found


def misfits(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    """What of a value does not fit into a structural schema."""
    shapes = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    shape = shapes.get(schema.get("type", ""))
    if shape is not None and (not isinstance(value, shape) or (shape is int and isinstance(value, bool))):
        yield f"{where}: {value!r} is no {schema['type']}"
    elif isinstance(value, dict):
        known, free = schema.get("properties", {}), schema.get("additionalProperties")
        yield from (f"{where}: no {key}" for key in schema.get("required", ()) if key not in value)
        for key, inner in value.items():
            if key not in known and free is None:
                yield f"{where}.{key}: unknown"
            else:
                yield from misfits(inner, known.get(key, free), f"{where}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from misfits(inner, schema["items"], f"{where}[{index}]")
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    elif "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{where}: {value!r} is not like {schema['pattern']}"


@pytest.mark.parametrize("path", CRDS or [None], ids=lambda path: path.stem if path else "absent")
def test_a_kind_has_the_keys_of_its_crd_and_no_others(path: Path | None) -> None:
    if path is None:
        pytest.skip(ABSENT)
    kind, schema = crd(path)
    # What is inside of these two are the specs of other kinds, and what a Task runs.
    deep = {"Schedule": 0, "Workflow": 1}.get(kind, 9)
    theirs, ours = (
        {key for key in keys if key.count(".") <= deep}
        for keys in (keys_of_schema(schema, {}), keys_of_models(kind))
    )
    assert ours == theirs


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_manifest_fits_into_its_crd(path: Path) -> None:
    if not CRDS:
        pytest.skip(ABSENT)
    schemas = dict(map(crd, CRDS))
    for document in yaml.safe_load_all(path.read_text()):
        if document["apiVersion"] == CHAOS_MESH:
            assert [*misfits(document["spec"], schemas[document["kind"]], "spec")] == []
