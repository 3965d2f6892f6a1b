"""Engines made of few signals, and the one with every signal that any rule reads, so that every alert is tested."""

from collections.abc import Sequence
from dataclasses import replace

from dashboards.engines import REFERENCE, Engine, engine_of
from dashboards.rules import files as rules
from dashboards.rules.groups import Alert, Group
from exporters import slo
from exporters.profiles.profile import Absence, Profile, Series
from exporters.profiles.signals import SIGNALS
from exporters.slo import Objective


def made(
    engine: str, objectives: Sequence[Objective] = slo.OBJECTIVES, **signals: Series | tuple[Series, ...]
) -> Engine:
    """An engine that tells these signals and no other."""
    listed = {name: one if isinstance(one, tuple) else (one,) for name, one in signals.items()}
    others = tuple(name for name in SIGNALS if name not in signals)
    profile = Profile(
        format=1,
        engine=engine,
        title=engine,
        release="1",
        detect=".+",
        prefix="(?:)",
        endpoint="/metrics",
        signals=listed,
        absent=(Absence(signals=others, reason="not of this engine"),),
    )
    return replace(engine_of(profile), objectives=objectives)


COMPLETE = replace(REFERENCE, objectives=slo.KNOWN)
"""It tells every signal that any rule reads (a test of the rules holds that), and is held to every objective."""


def alerts_of(groups: Sequence[Group]) -> list[Alert]:
    return [rule for group in groups for rule in group.rules if isinstance(rule, Alert)]


COMPLETE_GROUPS = rules.all_groups(COMPLETE)
COMPLETE_ALERTS = alerts_of(COMPLETE_GROUPS)
