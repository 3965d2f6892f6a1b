"""What a CI job reads: the Markdown summary and the JUnit file."""

import json
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from chaos.record.journal import Journal
from chaos.report import junit, write_reports
from chaos.run_folder import RunFolder

SAMPLE = RunFolder(Path(__file__).parent / "data" / "run-sample")
HOSTILE = "</td><script>|`*_[x](y)\x00\x1b[2J\ud800"


@pytest.fixture
def journal() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SAMPLE.journal.read_text())
    return found


def suite_of(journal: dict[str, Any]) -> ET.Element:
    suite = ET.fromstring(junit.render(Journal.model_validate(journal)).encode()).find("testsuite")
    assert suite is not None
    return suite


def test_junit_has_a_case_per_assertion_and_two_for_the_run_itself(journal: dict[str, Any]) -> None:
    suite = suite_of(journal)
    names = [case.get("name") for case in suite.findall("testcase")]
    assert names == [a["expression"] for a in journal["assertions"]] + [
        "the fault is proved",
        "the data is sound",
    ]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == (str(len(names)), "0", "0")


@pytest.mark.parametrize(("verdict", "tag"), [("deviated", "failure"), ("inconclusive", "error")])
def test_junit_tells_deviated_from_inconclusive_with_the_reason(
    verdict: str, tag: str, journal: dict[str, Any]
) -> None:
    journal["assertions"][0].update(verdict=verdict, reason="too few", observed=20.0)
    [problem] = suite_of(journal).findall("testcase")[0]
    assert problem.tag == tag
    assert problem.get("message") == "observed 20 s, bound 15 s: too few"


def test_junit_errs_when_the_fault_was_not_proved(journal: dict[str, Any]) -> None:
    journal["faults"][0]["verified"] = False
    assert [case.get("name") for case in suite_of(journal).findall("testcase") if len(case)] == [
        "the fault is proved"
    ]


def test_junit_has_times_and_figures_of_a_run_that_passed_for_a_trend_over_builds(
    journal: dict[str, Any],
) -> None:
    suite = suite_of(journal)
    assert suite[0].tag == "properties", "where JUnit's schema has them"
    found = {one.get("name"): one.get("value") for one in suite[0]}
    baseline, recovery = journal["phases"][0], journal["recovery"]
    assert float(found["recovery.service_s"] or "") == pytest.approx(recovery["service_s"], rel=1e-5)
    assert float(found["recovery.capacity_s"] or "") == pytest.approx(recovery["capacity_s"], rel=1e-5)
    assert float(found["baseline.ttft_p99_s"] or "") == pytest.approx(baseline["ttft_p99_s"], rel=1e-5)
    assert float(found["fault.goodput"] or "") == pytest.approx(journal["phases"][1]["goodput"], rel=1e-5)
    assert found["lost_requests"] == str(recovery["lost_requests"])
    assert float(suite.get("time") or "") == pytest.approx(journal["load"]["plan_end_s"], rel=1e-5)
    times = {case.get("name"): case.get("time") for case in suite.findall("testcase")}
    for one in journal["assertions"]:
        told = times[one["expression"]]
        if one["dimension"] == "duration":
            assert float(told or "") == pytest.approx(one["observed"], rel=1e-5)
        else:
            assert told is None


def test_junit_leaves_out_what_could_not_be_had_and_says_infinity(journal: dict[str, Any]) -> None:
    journal["recovery"].update(service_s="inf", capacity_s=None, capacity_s_reason="unseen")
    journal["assertions"][0]["observed"] = "inf"
    suite = suite_of(journal)
    found = {one.get("name"): one.get("value") for one in suite[0]}
    assert found["recovery.service_s"] == "inf"
    assert "recovery.capacity_s" not in found
    assert suite.findall("testcase")[0].get("time") is None, "no CI reads an infinite time"


@pytest.mark.parametrize("exit_code", [3, 4, 5, 130], ids=str)
def test_junit_is_never_green_when_the_exit_code_is_not_zero(exit_code: int, journal: dict[str, Any]) -> None:
    journal["exit_code"] = exit_code
    assert suite_of(journal).get("errors") == "1"


def test_junit_stays_xml_whatever_the_texts_hold(journal: dict[str, Any]) -> None:
    journal["assertions"][0].update(verdict="inconclusive", expression=HOSTILE, reason=HOSTILE)
    journal["experiment"] = HOSTILE
    journal["reasons"] = [HOSTILE]
    assert "</td><script>|`*_[x](y)" in str(suite_of(journal).findall("testcase")[0].get("name"))


def test_summary_puts_the_verdict_first_and_stays_small(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE.path, tmp_path, dirs_exist_ok=True)
    write_reports(RunFolder(tmp_path))
    text = (tmp_path / "summary.md").read_text()
    assert re.match(r"## . (PASSED|DEVIATED|INCONCLUSIVE): ", text)
    assert len(text.encode()) < 20_000
    headings = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert headings == [
        "Recovery",
        "Phases",
        "Objectives",
        "The server's word",
        "Cold starts",
        "What a request cost",
        "Victims",
        "Outcomes",
    ]


def test_every_row_of_a_markdown_table_has_as_many_cells_as_its_head(
    tmp_path: Path, journal: dict[str, Any]
) -> None:
    shutil.copytree(SAMPLE.path, tmp_path, dirs_exist_ok=True)
    journal["assertions"][0].update(
        verdict="inconclusive", expression=HOSTILE, reason=f"{HOSTILE}\n| a | b |"
    )
    journal["hypothesis"] = f"one\n\n## two {HOSTILE}"
    (tmp_path / "journal.json").write_text(json.dumps(journal))
    write_reports(RunFolder(tmp_path))
    text = (tmp_path / "summary.md").read_text()
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 9
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1
    without_code = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", re.sub(r"\\.", "", text))
    assert "<" not in re.sub("<span>[$@#:]</span>", "", without_code)
    assert "\n## two" not in text
