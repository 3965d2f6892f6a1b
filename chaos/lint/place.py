"""A value of a manifest and where it stands, looked into without trusting that anything is there or has a shape."""

import re
from dataclasses import dataclass
from typing import Any

from chaos.reading.documents import KeyPath, Problem

_SHARE = re.compile(r"(\d{1,9})%")


@dataclass(frozen=True, slots=True)
class Place:
    """One value; None where there is none, as an API server takes it."""

    value: object
    key_path: KeyPath = ()

    def at(self, *keys: str) -> "Place":
        """What stands beneath these keys; a place without a value where something else than mappings is on the way."""
        value = self.value
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return Place(value, (*self.key_path, *keys))

    def each(self) -> tuple["Place", ...]:
        """The items of a list; none of anything else."""
        items = self.value if isinstance(self.value, list) else []
        return tuple(Place(item, (*self.key_path, index)) for index, item in enumerate(items))

    def entries(self) -> tuple[tuple[str, "Place"], ...]:
        """The keys of a mapping, each with what stands there; none of anything else."""
        return tuple((key, self.at(key)) for key in self.mapping)

    def walk(self) -> tuple["Place", ...]:
        """Every scalar inside, itself included."""
        inner = (*self.each(), *(place for _, place in self.entries()))
        if not inner:
            return () if isinstance(self.value, dict | list | None) else (self,)
        return tuple(found for place in inner for found in place.walk())

    @property
    def exists(self) -> bool:
        """Whether there is a value."""
        return self.value is not None

    @property
    def mapping(self) -> dict[str, Any]:
        """The value, or an empty mapping where it is none."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def text(self) -> str:
        """The value, or an empty text where it is none."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def labels(self) -> dict[str, str]:
        """A mapping of texts, without what is none."""
        return {key: value for key, value in self.mapping.items() if isinstance(value, str)}

    @property
    def number(self) -> int | None:
        """A whole number; None where there is none."""
        return self.value if isinstance(self.value, int) and not isinstance(self.value, bool) else None

    @property
    def percentage(self) -> int | None:
        """Of a text such as `30%`; None of anything else."""
        found = _SHARE.fullmatch(self.text)
        return int(found[1]) if found else None

    def problem(self, complaint: str) -> Problem:
        """That something else was expected here."""
        if self.exists:
            return Problem(self.key_path, complaint, self.value)
        return Problem(self.key_path, f"{complaint}, got nothing")
