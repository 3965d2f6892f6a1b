"""The models of other people's objects (`chaos/lint/schemas/`), and the JSON Schema that each stands for.

A model says for each key what it holds: `text`, `whole number`, `number`, `yes or no`, `number or text`,
`list`, `mapping`, `any`, `pod template`, or the words that it may be, `A | B`, `only A`. A list of one model is a
list of such; the key `*` stands for any; a key that ends in `!` must be there. A mapping that is written
out holds no other keys.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from chaos.reading.documents import KeyPath

FOLDER = Path(__file__).with_name("schemas")
POD_TEMPLATE = {
    "$ref": "https://kubernetes.io/api/_definitions.json#/$defs/io.k8s.api.core.v1.PodTemplateSpec"
}
"""Where the schemas of Kubernetes' own objects have it."""
_WORDS: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "whole number": {"type": "integer"},
    "number": {"type": "number"},
    "yes or no": {"type": "boolean"},
    "number or text": {"type": ["integer", "string"]},
    "list": {"type": "array"},
    "mapping": {"type": "object"},
    "any": {},
    "pod template": POD_TEMPLATE,
}
_HEAD = {"apiVersion!": "text", "kind!": "text", "metadata": "mapping"}


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of one kind of object that is not Kubernetes' own."""

    kind: str
    api_versions: tuple[str, ...]
    where: KeyPath
    """what of the object it describes: its spec, or all of it"""
    schema: dict[str, Any]
    """JSON Schema of that part"""
    source: str
    """where its fields were read, and in which release"""


@cache
def models() -> tuple[Model, ...]:
    """Every model that there is."""
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        page = yaml.safe_load(path.read_text(encoding="utf-8"))
        source = f"{page['source']} {page['version']}"
        for kind, model in page["kinds"].items():
            versions = tuple(model["api_versions"])
            if "spec" in model:
                found.append(Model(kind, versions, ("spec",), json_schema(model["spec"]), source))
            else:
                found.append(Model(kind, versions, (), json_schema(_HEAD | model["whole"]), source))
    return tuple(found)


def json_schema(model: Any) -> dict[str, Any]:
    """The JSON Schema of a model.

    Raises:
        KeyError: a word that means nothing.
    """
    if isinstance(model, list):
        return {"type": "array", "items": json_schema(model[0])}
    if isinstance(model, str):
        if " | " in model or model.startswith("only "):
            return {"type": "string", "enum": model.removeprefix("only ").split(" | ")}
        return _WORDS[model]
    if set(model) == {"*"}:
        return {"type": "object", "additionalProperties": json_schema(model["*"])}
    return {
        "type": "object",
        "properties": {key.rstrip("!"): json_schema(value) for key, value in model.items()},
        "required": [key.rstrip("!") for key in model if key.endswith("!")],
        "additionalProperties": False,
    }
