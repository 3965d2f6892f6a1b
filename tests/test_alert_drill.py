"""The committed drill covers every alert of the live rules; a slow test runs the whole of it again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.drill_page import LIVE, page_of, rules_of

ROOT = Path(__file__).parents[1]
COMMITTED = json.loads((ROOT / "docs" / "data" / "alert-drill.json").read_text())
RULES = rules_of(ROOT / LIVE)


@pytest.mark.parametrize("key", sorted({rule.key for rule in RULES}))
def test_every_alert_was_silent_then_fired_then_resolved_in_the_committed_drill(key: str) -> None:
    (rule,) = [rule for rule in RULES if rule.key == key]
    rows = [row for row in COMMITTED["rows"] if (row["alert"], row["labels"]) == (rule.name, rule.labels)]
    assert rows, f"{key} has no drill: give it one, then run `python -m benchmarks.alert_drill`"
    for row in rows:
        assert row["silent_before"]
        assert row["fired_s"] >= row["for_s"]
        assert row["resolved_s"] is not None
        assert row["runbook"] == rule.runbook
        assert (ROOT / row["runbook"]).is_file()


def test_the_page_is_the_table_of_the_committed_figures() -> None:
    page = (ROOT / "docs" / "alert-drill.md").read_text()
    assert page == page_of(COMMITTED)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_whole_drill_makes_every_alert_fire_and_resolve_again(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.alert_drill"]
    command += ["--json", str(tmp_path / "drill.json"), "--markdown", str(tmp_path / "drill.md")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
