"""The rule files: one per engine, the same scaled for chaos runs, and a manifest for the operator.

The local target scrapes the replicas of any engine under one job: scaled rules look there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dashboards.engines import REFERENCE, Engine, engines
from dashboards.rules.alerting import alerting_rules
from dashboards.rules.groups import Group, Timing, to_yaml
from dashboards.rules.recording import recording_rules
from dashboards.rules.slo import JUDGED, fit, slo_rules
from exporters import slo

FOLDER = "dashboards/generated"
RUNBOOKS = "docs/runbooks/"
"""Relative to the repository; a cluster wants the URL where people read it."""
PRODUCTION = Timing()
LIVE = Timing(scrape_s=1.0, factor=60.0)
"""For chaos runs on the local target: an hour is a minute, scrapes are a second apart."""

_HEAD = "Written by `python -m dashboards build`: edit dashboards/rules/ or the engine's profile, never this file."
_SCALED = "Windows and holds are divided by {factor:g}, down to four and two scrapes; names tell production's windows."
_RECORDED = re.compile(r"\b(inf:[\w:]+)(?:\{([^}]*)\})?")


def rule_groups(engine: Engine = REFERENCE, timing: Timing = PRODUCTION) -> dict[str, Sequence[Group]]:
    """The groups of one engine by what they are: `recording`, `slo`, `alerts`."""
    return {
        "recording": (recording_rules(engine, timing),),
        "slo": _of_runtime(engine, slo_rules(engine, timing)),
        "alerts": _of_runtime(engine, alerting_rules(engine, timing)),
    }


def all_groups(engine: Engine = REFERENCE, timing: Timing = PRODUCTION) -> list[Group]:
    """The same in one list, in the order in which they are to be evaluated."""
    return [group for groups in rule_groups(engine, timing).values() for group in groups]


def render() -> dict[str, str]:
    """Every generated file: its path relative to the repository, and its text."""
    return {
        **{f"{FOLDER}/rules/{engine.runtime}.yaml": rule_file(engine) for engine in engines()},
        f"{FOLDER}/live.rules.yaml": rule_file(REFERENCE, LIVE),
        **{
            f"{FOLDER}/{engine.runtime}.live.rules.yaml": live_rules(engine)
            for engine in engines()
            if engine != REFERENCE and engine.of("request")
        },
        f"{FOLDER}/prometheus-rule.yaml": prometheus_rule(),
    }


def own_files(engine: Engine) -> dict[str, str]:
    """The rules of one engine for whoever holds it to objectives of their own: name and text of each file."""
    return {
        f"{engine.runtime}.rules.yaml": rule_file(engine),
        f"{engine.runtime}.live.rules.yaml": live_rules(engine),
        f"{engine.runtime}.prometheus-rule.yaml": prometheus_rule(engine),
    }


def live_rules(engine: Engine) -> str:
    """The rules of an engine for a run of minutes, on the local target's scrape job."""
    return rule_file(replace(engine, job=REFERENCE.job), LIVE)


def rule_file(engine: Engine, timing: Timing = PRODUCTION, *, runbooks: str = RUNBOOKS) -> str:
    """All rules of an engine as Prometheus' `rule_files` wants them, headed by what the engine cannot tell."""
    groups = [group.document(runbooks) for group in all_groups(engine, timing)]
    return to_yaml({"groups": groups}, _head(engine, timing))


def prometheus_rule(
    engine: Engine = REFERENCE,
    *,
    labels: Mapping[str, str] | None = None,
    runbooks: str = RUNBOOKS,
) -> str:
    """All rules as a PrometheusRule of the Prometheus operator; `labels` are what its ruleSelector looks for."""
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": f"aftershock-{engine.runtime}",
            "labels": {"app.kubernetes.io/name": "aftershock", **(labels or {})},
        },
        "spec": {"groups": [group.document(runbooks) for group in all_groups(engine)]},
    }
    return to_yaml(document, _head(engine, PRODUCTION))


def _of_runtime(engine: Engine, groups: Sequence[Group]) -> tuple[Group, ...]:
    """The groups reading this engine's recorded series alone: several engines may share a Prometheus."""
    runtime = f'runtime="{engine.runtime}"'

    def narrowed(found: re.Match[str]) -> str:
        name, labels = found.group(1), found.group(2) or ""
        return (
            f"{name}{{{labels}}}"
            if "runtime=" in labels
            else f"{name}{{{', '.join(filter(None, (runtime, labels)))}}}"
        )

    return tuple(
        replace(group, rules=[replace(rule, expr=_RECORDED.sub(narrowed, rule.expr)) for rule in group.rules])
        for group in groups
    )


def _head(engine: Engine, timing: Timing) -> str:
    said = [fit(engine, objective)[1] for objective in engine.objectives if objective.name in JUDGED]
    lines = [
        _HEAD,
        f"{engine.profile.title}, release {engine.profile.release}: replicas in the scrape job `{engine.job}`.",
        f"For scrapes at most {timing.scrape_s:g} s apart.",
        *([_SCALED.format(factor=timing.factor)] if timing.factor != 1 else []),
        *(
            f"Objective: {objective.name}: {objective.sentence}."
            for objective in engine.objectives
            if tuple(engine.objectives) != slo.OBJECTIVES
        ),
        *filter(None, said),
        *(
            f"No {signal}: {reason}."
            for signal, reason in engine.untold().items()
            if not signal.startswith("gpu_")
        ),
    ]
    return "\n".join(lines)
