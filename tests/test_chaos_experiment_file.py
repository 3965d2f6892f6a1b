"""The reference page of the experiment file, held to the models: keys, types, defaults, meanings."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml
from annotated_types import Ge
from pydantic import BaseModel, Discriminator, JsonValue
from pydantic_core import PydanticUndefined

from chaos.experiment.file import ExperimentSpec
from chaos.experiment.needs import Need
from chaos.experiment.slo import SomeShare, WatchedShare
from chaos.experiment.traffic import InWords
from chaos.experiment.watched import Bound
from chaos.reading.meanings import meanings
from chaos.reading.names import DnsLabel, DnsSubdomain, LabelKey, LabelValue, PodReference
from chaos.reading.quantities import Duration, DurationOrZero, LoadRate, Percent, Ratio, duration_text
from chaos.targets.base_url import BaseUrl
from chaos.targets.local.options import ExtraLabelKey
from loadtests.traffic.lengths import Lengths

PAGE = Path(__file__).parent.parent / "docs" / "experiment-file.md"
NAMED: dict[Any, str] = {
    Duration: "duration",
    DurationOrZero: "duration, or 0s",
    Ratio: "ratio",
    Percent: "ratio",
    WatchedShare: "ratio",
    SomeShare: "ratio",
    LoadRate: "number, or `N% of capacity`",
    bool: "true or false",
    DnsLabel: "name",
    DnsSubdomain: "name",
    ExtraLabelKey: "label key",
    LabelValue: "label value",
    PodReference: "namespace/name",
    BaseUrl: "base URL",
    str: "text",
    Path: "path",
    int: "whole number",
    float: "number",
    Bound: "number, ratio or duration",
    LabelKey: "label key",
    Need: "a need",
    Mapping[str, JsonValue] | None: "mapping",
}
LENGTH = "whole number, or section"


def type_words(hint: Any) -> str:
    """A type as the page names it."""
    named = next((words for known, words in NAMED.items() if known == hint), None)
    if named or section_in(hint):
        return named or "sections"
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return LENGTH if any(isinstance(each, Discriminator) for each in inner) else type_words(inner[0])
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in inner)
    if origin in (Union, UnionType):
        return type_words(next(each for each in inner if each is not NoneType))
    if origin is tuple:
        return f"list of {type_words(inner[0])}"
    assert origin in (Mapping, dict)
    return f"{type_words(inner[0])}: {type_words(inner[1])}"


def section_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a key holds, if it holds one, be it optional."""
    choices = [each for each in get_args(annotation) or (annotation,) if each is not NoneType]
    [only, *more] = choices
    return only if not more and isinstance(only, type) and issubclass(only, BaseModel) else None


def default_words(default: object, words: str) -> str:
    """A default as one would write it in the file."""
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "none"
    if words.startswith("duration"):
        return f"`{duration_text(float(str(default)))}`"
    if words == "ratio":
        return f"`{float(str(default)):.0%}`"
    plain = list(default) if isinstance(default, tuple) else default
    flow = yaml.safe_dump(plain, default_flow_style=True, width=1000)
    return f"`{flow.splitlines()[0]}`"


def reference(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Key, type, default and meaning of everything that a model reads."""
    hints, said = get_type_hints(model, include_extras=True), meanings(model)
    for name, info in model.model_fields.items():
        key = prefix + (info.alias or name)
        if section := section_in(info.annotation):
            yield from reference(section, f"{key}.")
            continue
        words = type_words(hints[name])
        if issubclass(model, InWords) and name.endswith("_s"):
            # Seconds where they are declared, and durations in the file.
            words = "duration, or 0s" if any(isinstance(each, Ge) for each in info.metadata) else "duration"
        yield key, words, default_words(info.default, words), said.get(name, "")
        if words == LENGTH and key == "load.prompt_tokens":  # once for all of them
            yield from reference(Lengths, f"{key}.")


def test_reference_page_lists_every_key_with_type_default_and_meaning() -> None:
    expected = [f"| `{key}` | " + " | ".join(others) + " |" for key, *others in reference(ExperimentSpec)]
    listed = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert sorted(listed) == sorted(expected)


def test_smallest_experiment_of_the_page_is_one() -> None:
    example = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    spec = ExperimentSpec.model_validate(yaml.safe_load(example))
    assert spec.load.rate_per_s is not None
    assert spec.load.rate_per_s * spec.phases.baseline_s >= 299
