"""Models of what a file may hold, and the bridge from pydantic's complaints to one `InputError` per file."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from chaos.reading.documents import Document, KeyPath, Problem
from chaos.reading.meanings import meanings

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)
# YAML has lists, a frozen model has tuples: the container alone is converted, its items stay strict.
Listed = Annotated[tuple[T, ...], Field(strict=False)]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("text", "text that says something")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]
Count = Annotated[int, Field(ge=1)]
Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]

_EXPECTED = {
    "string_type": "text: put it in quotes",
    "model_type": "a mapping of keys to values",
    "mapping_type": "a mapping of keys to values",
    "tuple_type": "a list",
    "int_type": "a whole number",
    "float_type": "a number",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number from {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number up to {le:g}",
    "too_short": "a list of at least {min_length}",
}


class Strict(BaseModel):
    """Base of everything read from a file: nothing coerced, nothing unknown, nothing changed afterwards."""

    # Most of what may stand in a file does not stand in this one: a validator is built when it is first asked.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


def build(document: Document, model: type[Model]) -> Model:
    """The document as a model.

    Raises:
        InputError: naming every key path that does not fit, its value and what was expected.
    """
    try:
        return model.model_validate(document.values)
    except ValidationError as error:
        raise document.refusal(_problem(model, detail) for detail in error.errors()) from error


def keys(model: type[BaseModel]) -> dict[str, str]:
    """The keys that a model reads, each with its meaning."""
    said = meanings(model)
    return {info.alias or name: said.get(name, "") for name, info in model.model_fields.items()}


def suggestion(word: str, known: Iterable[str]) -> str:
    """` (did you mean x?)` for a near miss, and nothing otherwise."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _problem(model: type[BaseModel], detail: Mapping[str, Any]) -> Problem:
    # Which of several kinds of value was tried is in brackets, and no key of the file.
    key_path: KeyPath = tuple(key for key in detail["loc"] if key == "[key]" or str(key)[:1] != "[")
    if detail["type"] == "extra_forbidden":
        known = keys(_model_at(model, key_path[:-1]))
        hint = suggestion(str(key_path[-1]), known)
        return Problem(key_path, f"unknown key{hint}, expected one of {', '.join(known)}", detail["input"])
    if detail["type"] == "missing":
        meaning = keys(_model_at(model, key_path[:-1]))[str(key_path[-1])]
        return Problem(key_path, f"expected this key ({meaning}), got nothing")
    expected = detail["msg"].removeprefix("Input should be ")
    if detail["type"] in _EXPECTED:
        expected = _EXPECTED[detail["type"]].format(**detail.get("ctx", {}))
    if key_path[-1] == "[key]":
        return Problem(key_path[:-1], f"expected as key {expected}", detail["input"])
    return Problem(key_path, f"expected {expected}", detail["input"])


def _model_at(model: type[BaseModel], key_path: KeyPath) -> type[BaseModel]:
    for key in key_path:
        fields = {info.alias or name: info for name, info in model.model_fields.items()}
        if key in fields:
            model = _model_in(fields[str(key)].annotation) or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
