"""The declared load as options of `locust`: on its command line, in its web form, and read back from either."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json

from loadtests.endpoint import Endpoint
from loadtests.spec import LoadSpec, Option
from loadtests.traffic.profiles import PROFILES

_UNITS = {"_per_s": "per second", "_s": "seconds"}

FIRST = ("--rate", "--duration", "--arrivals", "--prompt-tokens", "--output-tokens")
"""What a load is, on top of the form and of the help."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One declared setting, wherever it lies in `LoadSpec`."""

    path: tuple[str, ...]
    option: Option
    type: Any
    default: Any
    """For a person who leaves it out; None where it must be given, or is nothing."""
    meaning: str

    @property
    def dest(self) -> str:
        """Its name among parsed options."""
        return self.option.flag.removeprefix("--").replace("-", "_")

    def added_to(self, parser: ArgumentParser) -> None:
        """Declare it; what the web form shows keeps its type there, so that no default may be None."""
        hidden: dict[str, Any] = {} if self.option.shown else {"include_in_web_ui": False}
        if self.type is bool:
            parser.add_argument(self.option.flag, action="store_true", help=self._help, **hidden)
        elif get_origin(self.type) is Literal:
            choices = get_args(self.type)
            parser.add_argument(self.option.flag, choices=choices, default=self.default, help=self._help)
        elif self.type in (int, float):
            parser.add_argument(
                self.option.flag, type=self.type, default=self.default, help=self._help, **hidden
            )
        elif self.is_structured:
            default = "" if self.default is None else str(self.default)
            parser.add_argument(self.option.flag, default=default, help=f"{self._help} (JSON)", **hidden)
        else:
            parser.add_argument(self.option.flag, default=self.default or "", help=self._help, **hidden)

    @property
    def is_structured(self) -> bool:
        """Whether it may be more than one plain value, or nothing: then its text is JSON, and none says nothing."""
        return get_origin(self.type) is not Literal and self.type not in (bool, int, float, str, Path | None)

    def read(self, options: Namespace) -> Any:
        """Its value among parsed options; ValueError for text that is not the JSON it should be."""
        value = getattr(options, self.dest)
        if self.is_structured:
            try:
                return from_json(str(value)) if value not in ("", None) else None
            except ValueError as error:
                raise ValueError(f"{self.option.flag} must be JSON, not {value!r}: {error}") from error
        if self.type == Path | None:
            return Path(value) if value else None
        return value

    def written(self, value: Any) -> Iterator[str]:
        """The value as words of a command line, none where leaving it out says the same."""
        if self.type is bool:
            yield from [self.option.flag] if value else []
        elif self.is_structured:
            if value is not None:
                text = TypeAdapter(self.type).dump_json(value, exclude_none=True).decode()
                yield f"{self.option.flag}={text}"
        elif value is not None and (self.option.own or value != self.default):
            yield f"{self.option.flag}={value.absolute() if isinstance(value, Path) else value}"

    @property
    def _help(self) -> str:
        unit = next((unit for suffix, unit in _UNITS.items() if self.path[-1].endswith(suffix)), None)
        named = unit and unit not in self.meaning
        return f"{self.meaning} ({unit})" if named else self.meaning


def settings(model: type[BaseModel] = LoadSpec, path: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Every setting that a model declares, those of its sections included."""
    for name, field in model.model_fields.items():
        option = next((each for each in field.metadata if isinstance(each, Option)), None)
        kind: Any = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from settings(kind, (*path, name))
        elif option is not None:
            default = None if field.is_required() else field.default
            by_hand = default if option.by_hand is None else option.by_hand
            yield Setting((*path, name), option, kind, by_hand, field.description or "")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options; those that a person may want to change show up in the web form."""
    first = {flag: place for place, flag in enumerate(FIRST)}
    for setting in sorted(settings(), key=lambda each: first.get(each.option.flag, len(first))):
        if setting.option.own:
            setting.added_to(parser)
    parser.add_argument(
        "--traffic",
        choices=("", *PROFILES),
        default="",
        help="traffic as published (docs/traffic.md): it sets rate, arrivals and lengths that are left as they are",
    )
    parser.add_argument(
        "--exit-with-parent-fd",
        type=int,
        default=-1,
        help="end at once when this inherited pipe reaches its end",
        include_in_web_ui=False,
    )


def of(environment: Any) -> LoadSpec:
    """The load that a Locust environment asks for; ValueError as `read`."""
    return read(environment.host, environment.parsed_options)


def endpoint(spec: LoadSpec) -> Endpoint:
    """Where its requests go, with the API key of `OPENAI_API_KEY`; ValueError when the URL is none."""
    return Endpoint.parse(spec.url, os.environ.get("OPENAI_API_KEY", ""))


def read(host: str | None, options: Namespace) -> LoadSpec:
    """The load that Locust's host and parsed options ask for.

    Raises:
        ValueError: naming each option that makes no sense.
    """
    values: dict[str, Any] = {"url": host or ""}
    profile = PROFILES.get(options.traffic, {})
    for setting in settings():
        if setting.option.own:
            *sections, name = setting.path
            section = values
            for each in sections:
                section = section.setdefault(each, {})
            value = setting.read(options)
            section[name] = profile.get(name, value) if value == setting.default else value
    try:
        spec = LoadSpec.model_validate(values)
    except ValidationError as error:
        raise ValueError("; ".join(map(_complaint, error.errors()))) from error
    endpoint(spec)
    return spec


def as_options(spec: LoadSpec) -> list[str]:
    """The command line that asks for this load: what `read` makes the same load of."""
    return [word for setting in settings() for word in setting.written(_value(spec, setting.path))]


def _value(spec: BaseModel, path: tuple[str, ...]) -> Any:
    name, *rest = path
    value = getattr(spec, name)
    return _value(value, tuple(rest)) if rest else value


def _complaint(detail: Mapping[str, Any]) -> str:
    flags = {setting.path: setting.option.flag for setting in settings()}
    where = detail["loc"]
    known = next((where[:end] for end in range(len(where), 0, -1) if where[:end] in flags), None)
    if known is None:  # several options do not fit together: they are named in the message
        return str(detail["msg"]).removeprefix("Value error, ")
    inner = ".".join(str(key) for key in where[len(known) :] if not str(key).startswith("["))
    expected = str(detail["msg"]).removeprefix("Input should be ")
    if detail["type"] == "missing":
        return f"{flags[known]}: {inner} is required"
    return f"{flags[known]}{': ' * bool(inner)}{inner} must be {expected}, not {detail['input']!r}"
