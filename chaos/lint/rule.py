"""What a rule is: a sentence, the reason for it, and a function that finds where it does not hold."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from chaos.lint.objects import Inventory, Object
from chaos.lint.pods import Pods, pods_of
from chaos.reading.documents import Problem

Severity: TypeAlias = Literal["error", "advice"]
Check: TypeAlias = Callable[[Object, Inventory], Iterable[Problem]]
PodCheck: TypeAlias = Callable[[Pods, Inventory], Iterable[Problem]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is expected of manifests."""

    name: str
    severity: Severity
    sentence: str
    """what is expected"""
    why: str
    """what happens otherwise"""
    types: tuple[str, ...]
    """the objects that it looks at; none: all of them"""
    check: Check

    def problems(self, each: Object, inventory: Inventory) -> Iterable[Problem]:
        """Where it does not hold in one object."""
        return self.check(each, inventory) if not self.types or each.type in self.types else ()


def rule(severity: Severity, *types: str) -> Callable[[Check], Rule]:
    """Make a rule of a function: its name is the function's, its sentence and its reason are the docstring's.

    Args:
        severity: whether it is wrong, or only not advisable.
        types: of the objects that it looks at; none: all of them.
    """

    def make(check: Check) -> Rule:
        sentence, _, why = (inspect.getdoc(check) or "").partition("\n\n")
        return Rule(
            name=check.__name__.replace("_", "-"),
            severity=severity,
            sentence=sentence,
            why=" ".join(why.split()),
            types=types,
            check=check,
        )

    return make


def pod_rule(severity: Severity) -> Callable[[PodCheck], Rule]:
    """The same of a function that looks at the pods of one template, whatever makes them."""

    def make(check: PodCheck) -> Rule:
        def of_object(each: Object, inventory: Inventory) -> Iterator[Problem]:
            for pods in pods_of(each):
                yield from check(pods, inventory)

        of_object.__name__, of_object.__doc__ = check.__name__, check.__doc__
        return rule(severity)(of_object)

    return make
