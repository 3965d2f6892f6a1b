"""Every rule: the one list of them."""

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
    scraping,
    workloads,
)

_MODULES = (workloads, gpus, autoscaling, disruption, jobs, mesh, encryption, scraping, caching, removed)
RULES: tuple[Rule, ...] = tuple(
    value for module in _MODULES for value in vars(module).values() if isinstance(value, Rule)
)
