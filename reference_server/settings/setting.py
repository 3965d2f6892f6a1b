"""What a setting's declaration is made of: its variable and flag, its purpose, and how its text becomes a value."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from reference_server.errors import ConfigError


class Kind(NamedTuple):
    """How the text of a setting becomes its value; `parse` raises ValueError for what is not `expected`."""

    parse: Callable[[str], Any]
    expected: str


class Setting(NamedTuple):
    """What stands beside a field of `Settings`."""

    variable: str
    kind: Kind
    purpose: str

    @property
    def flag(self) -> str:
        """The variable's name as a flag."""
        return "--" + self.variable.removeprefix("DS_").lower().replace("_", "-")

    def parsed(self, text: str, source: str) -> Any:
        """The value that a text means; `source` is the flag or the variable that it came from.

        Raises:
            ConfigError: it means none; the message has the source, the text and what was expected.
        """
        try:
            return self.kind.parse(text)
        except ValueError:
            raise ConfigError(f"{source}: {self.kind.expected} is expected, not {text!r}") from None


def _within(number: type[int] | type[float], low: float, high: float) -> Callable[[str], Any]:
    def parse(text: str) -> float:
        value = number(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return parse


def one_of(*choices: str) -> Kind:
    """One of these words, as they are spelled here."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return Kind(parse, " or ".join(choices))


def _text(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _secret(text: str) -> str:
    if len(text) < SHORTEST_SECRET:
        raise ValueError
    return text


SHORTEST_SECRET = 16
SECRET = Kind(_secret, f"a secret of at least {SHORTEST_SECRET} characters")
TEXT = Kind(_text, "a text that is not empty")
PATH = Kind(lambda text: Path(_text(text)), "the path of a folder or a safetensors file")
FILE = Kind(lambda text: Path(_text(text)), "the path of a file")
PORT = Kind(_within(int, 0, 65535), "a port, 0 to 65535 (0 takes a free one)")
COUNT = Kind(_within(int, 1, 1 << 31), "a whole number of at least 1")
SEED = Kind(_within(int, 0, (1 << 63) - 1), "a whole number, 0 to 2^63-1")
SECONDS = Kind(_within(float, 0.0, 86_400.0), "seconds, 0 to 86400")
SOME_SECONDS = Kind(_within(float, 0.001, 86_400.0), "seconds, 0.001 to 86400")
