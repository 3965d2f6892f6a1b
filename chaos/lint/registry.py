"""Every rule: the one list of them."""

from types import ModuleType

from chaos.lint.rule import Rule
from chaos.lint.rules import (
    autoscaling,
    caching,
    disruption,
    encryption,
    gpus,
    jobs,
    mesh,
    removed,
    required,
    scraping,
    wiring,
    workloads,
)

MODULES = (
    required,
    workloads,
    gpus,
    autoscaling,
    disruption,
    jobs,
    mesh,
    encryption,
    scraping,
    wiring,
    caching,
    removed,
)


def rules_of(module: ModuleType) -> tuple[Rule, ...]:
    """The rules of one module, in the order in which they stand there."""
    return tuple(value for value in vars(module).values() if isinstance(value, Rule))


RULES: tuple[Rule, ...] = tuple(rule for module in MODULES for rule in rules_of(module))
