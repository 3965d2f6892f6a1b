"""How the values of options are read: each reader says what was expected instead."""

import argparse
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from chaos.reading.quantities import ratio, seconds_of
from loadtests.endpoint import Endpoint

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - its only name
_T = TypeVar("_T")


def read_with(read: Callable[[str], _T]) -> Callable[[str], _T]:
    """What reads an option's value and says what was expected instead."""

    def value(text: str) -> _T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return value


def url(text: str) -> str:
    """A base URL."""
    try:
        Endpoint.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def seed(text: str) -> int:
    """A whole number from 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def count_or_share(text: str) -> int | float:
    """A whole number from 0, or a share such as `20%`."""
    if text.isdecimal():
        return int(text)
    try:
        return ratio(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0, or a share such as 20%, got {text!r}"
        ) from error


def duration_or_zero(text: str) -> float:
    """The seconds of a duration, `0s` too."""
    return 0.0 if text == "0s" else read_with(seconds_of)(text)
