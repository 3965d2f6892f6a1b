"""The rule files: rendered by one pure function, committed, and checked against it.

python -m dashboards.rules            write dashboards/generated/
python -m dashboards.rules --check    exit 1 when a committed file is not what the code says
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dashboards.alerting_rules import alerting_rules
from dashboards.recording_rules import REFERENCE, Profile, recording_rules
from dashboards.rule_groups import Group, Timing, to_yaml
from dashboards.slo_rules import slo_rules

FOLDER = "dashboards/generated"
RUNBOOKS = "docs/runbooks/"
"""Relative to the repository; a cluster wants the URL where people read it."""
PRODUCTION = Timing()
LIVE = Timing(scrape_s=1.0, factor=60.0)
"""For chaos runs on the local target: an hour is a minute, scrapes are a second apart."""

_HEAD = "Written by `python -m dashboards.rules`: edit the *_rules.py beside this folder, never this file."
_TIMING = "For scrapes at most {scrape:g} s apart."
_SCALED = "Windows and holds are divided by {factor:g}, down to four and two scrapes; names tell production's windows."


def rule_groups(profile: Profile = REFERENCE, timing: Timing = PRODUCTION) -> dict[str, Sequence[Group]]:
    """The groups of one engine by the file that they belong in: `recording`, `slo`, `alerts`."""
    return {
        "recording": (recording_rules(profile, timing),),
        "slo": slo_rules(profile, timing),
        "alerts": alerting_rules(profile, timing),
    }


def render(*, runbooks: str = RUNBOOKS) -> dict[str, str]:
    """Every generated file: its path relative to the repository, and its text."""
    texts = {
        f"{FOLDER}/{name}.rules.yaml": rule_file(groups, PRODUCTION, runbooks=runbooks)
        for name, groups in rule_groups().items()
    }
    live = [group for groups in rule_groups(timing=LIVE).values() for group in groups]
    texts[f"{FOLDER}/live.rules.yaml"] = rule_file(live, LIVE, runbooks=runbooks)
    texts[f"{FOLDER}/prometheus-rule.yaml"] = prometheus_rule(runbooks=runbooks)
    return texts


def rule_file(groups: Sequence[Group], timing: Timing, *, runbooks: str = RUNBOOKS) -> str:
    """Groups as Prometheus' `rule_files` wants them."""
    return to_yaml({"groups": [group.document(runbooks) for group in groups]}, _head(timing))


def prometheus_rule(
    profile: Profile = REFERENCE,
    *,
    labels: Mapping[str, str] | None = None,
    runbooks: str = RUNBOOKS,
) -> str:
    """All rules as a PrometheusRule of the Prometheus operator; `labels` are what its ruleSelector looks for."""
    groups = [group for groups in rule_groups(profile).values() for group in groups]
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": f"aftershock-{profile.runtime}",
            "labels": {"app.kubernetes.io/name": "aftershock", **(labels or {})},
        },
        "spec": {"groups": [group.document(runbooks) for group in groups]},
    }
    return to_yaml(document, _head(PRODUCTION))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the files below the current folder; returns the exit code: 0 done, 1 a file is stale."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.rules", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    options = parser.parse_args(arguments)
    texts = render()
    if not options.check:
        for name, text in texts.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text)
            print(f"wrote {name}")
        return 0
    stale = [
        name for name, text in texts.items() if not Path(name).is_file() or Path(name).read_text() != text
    ]
    for name in stale:
        print(f"{name} is not what the code says\nhint: run `python -m dashboards.rules`", file=sys.stderr)
    return 1 if stale else 0


def _head(timing: Timing) -> str:
    lines = [_HEAD, _TIMING.format(scrape=timing.scrape_s)]
    if timing.factor != 1:
        lines.append(_SCALED.format(factor=timing.factor))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
