"""Which part of the traffic each arrival belongs to: its profile and its tenant, as the plan says, by its number."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from chaos.measuring.columns import Flags, Ints

NOBODY = -1


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """One name per arrival, or none."""

    names: tuple[str, ...] = ()
    codes: Ints | None = None
    """By number of the arrival its place in `names`; `NOBODY` where it has none. None: no arrival has one."""

    @classmethod
    def of(cls, said: Sequence[str | None]) -> Self:
        """Of what each arrival says, in the order of their numbers."""
        names = sorted({name for name in said if name is not None})
        places: dict[str | None, int] = {name: place for place, name in enumerate(names)}
        codes = np.fromiter((places.get(name, NOBODY) for name in said), np.int64, len(said))
        return cls(tuple(names), codes if names else None)

    def name(self, code: int) -> str | None:
        """The name that a code stands for."""
        return None if code == NOBODY else self.names[code]

    def flags(self, index: Ints, name: str) -> Flags:
        """Which of these arrivals bear the name; one of no plan bears none."""
        found = np.zeros(len(index), dtype=bool)
        if self.codes is None or name not in self.names:
            return found
        planned = (index >= 0) & (index < len(self.codes))
        found[planned] = self.codes[index[planned]] == self.names.index(name)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The names of a plan."""

    profiles: Labels = Labels()
    tenants: Labels = Labels()

    @property
    def pairs(self) -> tuple[tuple[str | None, str | None], ...]:
        """Every profile and tenant that some arrival is of, in order; of a label that nobody has, None."""
        codes = [each.codes for each in (self.profiles, self.tenants)]
        number = max((len(each) for each in codes if each is not None), default=0)
        nobody = np.full(number, NOBODY)
        both = np.stack([nobody if each is None else each for each in codes], axis=1)
        return tuple(
            (self.profiles.name(int(profile)), self.tenants.name(int(tenant)))
            for profile, tenant in np.unique(both, axis=0)
        )

    def flags(self, index: Ints, profile: str | None, tenant: str | None) -> Flags:
        """Which of these arrivals are of a profile and of a tenant; None stands for any."""
        found = np.ones(len(index), dtype=bool)
        if profile is not None:
            found &= self.profiles.flags(index, profile)
        if tenant is not None:
            found &= self.tenants.flags(index, tenant)
        return found


WHOLE = Parts()
"""Of a plan that tells no parts apart."""
