"""The profiles that come with this package, and reading one's own: strict, every problem named with its place."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from exporters.profiles.profile import Profile
from exporters.profiles.reference import reference_profile


class ProfileError(ValueError):
    """A profile that cannot be understood: what, where, what was expected. Ends in the command line, exit code 2."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader that takes no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  theirs
        keys = [key.value for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.MarkedYAMLError(
                problem=f"expected each key once, got twice: {', '.join(twice)}", problem_mark=node.start_mark
            )
        return super().construct_mapping(node, deep)


@cache
def profiles() -> tuple[Profile, ...]:
    """Every profile of this package, by engine: the files, and the reference server's."""
    folder = files("exporters.profiles")
    texts = [(entry.name, entry.read_text()) for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    found = [reference_profile(), *(parse(text, name) for name, text in texts)]
    return tuple(sorted(found, key=lambda one: one.engine))


def profile(engine: str) -> Profile:
    """The profile of an engine; ProfileError when there is none."""
    for candidate in profiles():
        if candidate.engine == engine:
            return candidate
    raise ProfileError(
        f"engine is one of {', '.join(known.engine for known in profiles())}, not {engine!r}\n"
        "hint: give a file of your own with --profile"
    )


def read(path: Path) -> Profile:
    """A profile of the user's own; ProfileError names all that is wrong with it."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: expected a readable text file: {error}") from error
    return parse(text, str(path))


def parse(text: str, place: str) -> Profile:
    """YAML text as a profile; `place` begins each line of an error.

    Raises:
        ProfileError: one line per problem: place, key path, what was expected, what was found.
    """
    try:
        values = yaml.load(text, _Loader)  # noqa: S506  a safe loader, made stricter
    except yaml.YAMLError as error:
        raise ProfileError(f"{place}: {_syntax(error)}") from error
    if not isinstance(values, dict):
        raise ProfileError(f"{place}: expected a mapping of keys to values, got {values!r:.60}")
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        lines = [f"{place}: {_problem(detail)}" for detail in error.errors()]
        raise ProfileError("\n".join(lines)) from error


def _syntax(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error)


def _problem(detail: Any) -> str:
    place = ".".join(str(key) for key in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{place}: unknown key, got {detail['input']!r:.60}"
    if detail["type"] == "missing":
        return f"{place}: expected this key, got nothing"
    complaint = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    # The input of a whole profile or series would bury the complaint.
    shown = "" if isinstance(detail["input"], dict) else f", got {detail['input']!r:.60}"
    return f"{place}: {complaint}{shown}".removeprefix(": ")
