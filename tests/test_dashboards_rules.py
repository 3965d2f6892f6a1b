"""The rules: promtool's verdict on every file, when each alert fires, and that nothing about them is stale."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.engines import engines
from dashboards.rules import files as rules
from dashboards.rules.slo import indicators
from tests.support.complete_profile import COMPLETE, COMPLETE_ALERTS, COMPLETE_GROUPS, alerts_of

ROOT = Path(__file__).parents[1]
CASES = sorted((ROOT / "tests/rules").glob("*.yaml"))
RULE_FILES = (*(f"rules/{engine.runtime}.yaml" for engine in engines()), "live.rules.yaml")
SHIPPED_ALERTS = alerts_of(rules.rule_groups()["alerts"])
BURN_TABLE = (
    ("page", "1h", "5m", 0.144),
    ("page", "6h", "30m", 0.06),
    ("ticket", "1d", "2h", 0.03),
    ("ticket", "3d", "6h", 0.01),
)
"""Severity, long window, short window, and the error ratio that objectives of 99 % allow."""
BURNING = {
    "ttft": "TtftBudgetBurn",
    "itl": "ItlBudgetBurn",
    "tpot": "TpotBudgetBurn",
    "e2e": "E2eBudgetBurn",
    "availability": "AvailabilityBudgetBurn",
}


def promtool(*arguments: object, folder: Path) -> str:
    """What promtool says when it finds nothing wrong; a failure with what it says otherwise."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(done.stdout + done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every rule there is, without annotations: promtool would want their full text beside each label set."""
    folder = tmp_path_factory.mktemp("rules")
    files = {**rules.rule_groups(COMPLETE), "live": rules.all_groups(COMPLETE, rules.LIVE)}
    for name, groups in files.items():
        document = {"groups": [group.document("") for group in groups]}
        for rule in (rule for group in document["groups"] for rule in group["rules"]):
            rule.pop("annotations", None)
        (folder / f"{name}.rules.yaml").write_text(yaml.safe_dump(document))
    return folder


def run_cases(folder: Path, name: str, document: dict[str, Any]) -> str:
    """What promtool says of one file of unit tests; recordings come before the alerts on them, as they settle."""
    document["group_eval_order"] = [group.name for group in COMPLETE_GROUPS]
    (folder / name).write_text(yaml.safe_dump(document))
    return promtool("test", "rules", name, folder=folder)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_rules_fire_and_resolve_when_they_should(case: Path, staged: Path) -> None:
    document = yaml.safe_load(case.read_text())
    assert "SUCCESS" in run_cases(staged, case.name, document)
    # The case has teeth: what it expects to fire does not fire at the first instant of the series.
    for test in document["tests"]:
        test.pop("promql_expr_test", None)  # nothing of it is asked again
        for expected in test.get("alert_rule_test", []):
            expected["eval_time"] = "0s"
    if any(
        expected["exp_alerts"] for test in document["tests"] for expected in test.get("alert_rule_test", [])
    ):
        with pytest.raises(pytest.fail.Exception, match="alertname"):
            run_cases(staged, f"never-{case.name}", document)


def burn_series(slo: str, row: tuple[str, str, str, float]) -> list[dict[str, str]]:
    """Ten minutes each: fine, the short window alone burns (a blip), both burn, the long one alone (it is over)."""
    _, long, short, allowed = row
    low, high = f"{allowed * 0.99:g}x9", f"{allowed * 1.01:g}x9"
    labels = f'sloth_id="aftershock-{slo}", sloth_slo="{slo}", model="{long}"'
    return [
        {"series": f'slo:sli_error:ratio_rate{window}{{{labels}, sloth_window="{window}"}}', "values": values}
        for window, values in ((short, f"{low} {high} {high} {low}"), (long, f"{low} {low} {high} {high}"))
    ]


def burning(slo: str) -> list[dict[str, Any]]:
    labels = {"sloth_id": f"aftershock-{slo}", "sloth_slo": slo}
    return [
        {
            "exp_labels": {
                **labels,
                "model": long,
                "severity": severity,
                "long_window": long,
                "short_window": short,
            }
        }
        for severity, long, short, _ in BURN_TABLE
    ]


def test_every_row_of_the_burn_table_needs_both_windows_of_every_objective(staged: Path) -> None:
    case: dict[str, Any] = {
        "interval": "1m",
        "input_series": [series for slo in BURNING for row in BURN_TABLE for series in burn_series(slo, row)],
        "alert_rule_test": [
            {
                "alertname": alert,
                "eval_time": f"{minute}m",
                "exp_alerts": burning(slo) if 20 <= minute < 30 else [],
            }
            for slo, alert in BURNING.items()
            for minute in (5, 19, 20, 29, 30, 39)
        ],
    }
    document = {"rule_files": ["alerts.rules.yaml"], "evaluation_interval": "1m", "tests": [case]}
    assert "SUCCESS" in run_cases(staged, "burn-table.yaml", document)
    for expected in case["alert_rule_test"]:
        expected["exp_alerts"] = burning("ttft")  # of another objective, and at every minute
    with pytest.raises(pytest.fail.Exception, match="ItlBudgetBurn"):
        run_cases(staged, "burn-table-wrong.yaml", document)


@pytest.mark.parametrize("name", RULE_FILES)
def test_promtool_finds_nothing_to_complain_about(name: str) -> None:
    folder = ROOT / rules.FOLDER
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", name, folder=folder)


def expectations() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for path in CASES:
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test.get("alert_rule_test", []):
                yield case["alertname"], case["exp_alerts"]


@pytest.mark.parametrize(
    "name", sorted({alert.name for alert in COMPLETE_ALERTS} - (set(BURNING.values()) - {"TtftBudgetBurn"}))
)
def test_every_alert_has_a_case_that_fires_and_one_that_does_not(name: str) -> None:
    cases = [alerts for alert, alerts in expectations() if alert == name]
    assert any(cases)
    assert not all(cases)


def test_every_absent_partner_is_seen_to_fire() -> None:
    fired = {
        expected["exp_labels"]["signal"]
        for name, alerts in expectations()
        for expected in alerts
        if name == "SignalAbsent"
    }
    assert fired == {alert.labels["signal"] for alert in COMPLETE_ALERTS if alert.name == "SignalAbsent"}


def test_the_sentences_of_an_alert_name_only_labels_that_it_has() -> None:
    labels_of = {
        (name, label) for name, alerts in expectations() for alert in alerts for label in alert["exp_labels"]
    }
    named = {
        (alert.name, label)
        for alert in COMPLETE_ALERTS
        for label in re.findall(r"\$labels\.(\w+)", alert.summary + alert.description)
    }
    assert named <= labels_of
    assert len(named) > 10


def test_the_manifest_for_the_operator_holds_the_same_rules() -> None:
    manifest = yaml.safe_load(rules.prometheus_rule(labels={"release": "prometheus"}))
    assert manifest["spec"] == yaml.safe_load((ROOT / rules.FOLDER / "rules/reference.yaml").read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert manifest["metadata"] == {
        "name": "aftershock-reference",
        "labels": {"app.kubernetes.io/name": "aftershock", "release": "prometheus"},
    }


def test_a_cluster_links_its_own_runbooks() -> None:
    text = rules.prometheus_rule(runbooks="https://wiki.example/runbooks/")
    assert text.count("runbook_url: https://wiki.example/runbooks/") == len(SHIPPED_ALERTS)


def test_both_renderings_have_the_same_rules_under_the_same_names() -> None:
    def names(folder_file: str) -> list[tuple[str, str]]:
        groups = yaml.safe_load((ROOT / rules.FOLDER / folder_file).read_text())["groups"]
        return [
            (group["name"], rule.get("record") or rule["alert"])
            for group in groups
            for rule in group["rules"]
        ]

    assert names("live.rules.yaml") == names("rules/reference.yaml")


def test_an_objective_has_an_alert_and_every_alert_a_severity_a_summary_and_a_description() -> None:
    assert {indicator.objective.name for indicator in indicators(COMPLETE)} == set(BURNING)
    for alert in COMPLETE_ALERTS:
        assert alert.severity in ("page", "ticket")
        assert alert.summary.endswith(".")
        assert alert.description.endswith(".")
        assert re.fullmatch(r"([A-Z][a-z0-9]+)+", alert.name), f"{alert.name}: CamelCase"
