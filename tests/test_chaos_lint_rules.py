"""Every rule of `aftershock lint`: what falls into its trap is found, by its name, and what is near by is not."""

from pathlib import Path

import pytest

from chaos.lint.check import READERS, check
from chaos.lint.files import read
from chaos.lint.finding import Result
from chaos.lint.registry import RULES
from tests.support.lint_cases import CASES, Case

ALL = {*READERS, *(rule.name for rule in RULES)}
SEVERITY = {rule.name: rule.severity for rule in RULES}


def linted(folder: Path, text: str) -> Result:
    path = folder / "manifest.yaml"
    path.write_text(text)
    result = check(read([path]), RULES, ALL, (1, 36))
    assert result.refusals == []
    return result


def named(cases: tuple[Case, ...]) -> list[str]:
    return [f"{case.rule}-{number}" for number, case in enumerate(cases)]


@pytest.mark.parametrize("case", CASES, ids=named(CASES))
def test_what_falls_into_a_trap_is_found_by_its_name_and_nothing_else_is_wrong(
    tmp_path: Path, case: Case
) -> None:
    findings = linted(tmp_path, case.bad).findings
    found = [one for one in findings if one.rule == case.rule]
    assert found, [one.message for one in findings]
    assert all(one.severity == SEVERITY[case.rule] for one in found)
    assert any(case.says in one.message for one in found), [one.message for one in found]
    # What the API server refuses as well is told by the schema too.
    others = {one.rule for one in findings if one.severity == "error"} - {case.rule}
    assert others <= {"schema"}, [one.message for one in findings]


@pytest.mark.parametrize("case", CASES, ids=named(CASES))
def test_what_is_near_a_trap_and_not_in_it_is_no_finding(tmp_path: Path, case: Case) -> None:
    result = linted(tmp_path, case.good)
    wrong = [one.message for one in result.findings if one.rule == case.rule or one.severity == "error"]
    assert wrong == []
    assert result.unchecked == []


def test_every_rule_has_a_case() -> None:
    assert {case.rule for case in CASES} == {rule.name for rule in RULES}
