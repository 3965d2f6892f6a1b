"""Makes every alert of the live rules fire and resolve on a real Prometheus, and times both.

    python -m benchmarks.alert_drill [--only ALERT]... [--rules FILE] [--markdown FILE] [--json FILE]

Takes about nine minutes: the slowest burn rate looks back six. With `--only`, the causes of these alerts alone.
The files keep the last row of each alert that went through, and every run. Every process ends with it. Exit code 1 when
an alert was not silent before its cause, did not fire, or did not resolve.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks.drill_experiments import Experiment, Experiments
from benchmarks.drill_watch import POLL_S, Watch
from tests.support.drill_page import LIVE, Row, Rule, page_of, rules_of, table

BASELINE_S = 30.0
UP_WITHIN_S = 60.0
SILENT_WITHIN_S = 60.0
FIRES_WITHIN_S = 120.0
RESOLVES_WITHIN_S = 600.0


def rules_drilled(experiment: Experiment, rules: Sequence[Rule]) -> Sequence[Rule]:
    """The rules that this experiment is to raise."""
    return [rule for rule in rules if rule.name in experiment.alerts]


def drill(watch: Watch, experiment: Experiment, rules: Sequence[Rule]) -> list[Row]:
    """Begin the cause, wait for all its alerts, end it, wait until all are gone."""
    namespace = None if experiment.everywhere else experiment.name
    # What the experiment before this one raised may take a while to go.
    silent = dict(_reached(watch, rules, namespace, firing=False, within_s=SILENT_WITHIN_S))
    began_s = time.monotonic()
    experiment.begin()
    fired = dict(_reached(watch, rules, namespace, firing=True, within_s=FIRES_WITHIN_S))
    ended_s = time.monotonic()
    experiment.end()
    resolved = dict(_reached(watch, rules, namespace, firing=False, within_s=RESOLVES_WITHIN_S))
    return [
        {
            "alert": rule.name,
            "labels": dict(rule.labels),
            "experiment": experiment.name,
            "cause": experiment.cause,
            "how": experiment.how,
            "for_s": rule.hold_s,
            "silent_before": rule.key in silent,
            "fired_s": _since(began_s, fired.get(rule.key)),
            "resolved_s": _since(ended_s, resolved.get(rule.key)),
            "runbook": rule.runbook,
            "load": round(os.getloadavg()[0], 1),
        }
        for rule in rules
    ]


def _reached(
    watch: Watch, rules: Sequence[Rule], namespace: str | None, *, firing: bool, within_s: float
) -> Iterator[tuple[str, float]]:
    """When each rule came to fire, or to fire no more; those that did not in time are missing."""
    missing = list(rules)
    deadline_s = time.monotonic() + within_s
    while missing and time.monotonic() < deadline_s:
        for rule in [rule for rule in missing if watch.is_firing(rule, namespace) == firing]:
            missing.remove(rule)
            yield rule.key, time.monotonic()
        time.sleep(POLL_S)


def _since(began_s: float, at_s: float | None) -> float | None:
    return None if at_s is None else round(max(0.0, at_s - began_s), 1)


def side_by_side(watch: Watch, experiments: Sequence[Experiment], rules: Sequence[Rule]) -> list[Row]:
    """All experiments at once, after a baseline without any cause."""
    if not experiments:
        return []
    targets = {target for experiment in experiments for target in experiment.targets}
    watch.show(targets)
    deadline_s = time.monotonic() + UP_WITHIN_S
    while watch.up() < len(targets):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{watch.up()} of {len(targets)} targets answer")
        time.sleep(POLL_S)
    time.sleep(BASELINE_S)
    with ThreadPoolExecutor(len(experiments)) as pool:
        found = pool.map(lambda one: drill(watch, one, rules_drilled(one, rules)), experiments)
        return [row for rows in found for row in rows]


def all_drills(folder: Path, rules_file: Path, only: Container[str]) -> tuple[list[Row], str]:
    """Every row, and Prometheus' version."""
    rules = rules_of(rules_file)
    with ExitStack() as stack:
        experiments = Experiments()
        stack.callback(experiments.close)
        by_target, of_all = (
            stack.enter_context(Watch(folder / name, rules_file)) for name in ("by-target", "of-all")
        )
        groups = [_wanted(group, only) for group in experiments.of_the_whole(of_all)]
        with ThreadPoolExecutor(1) as pool:
            others = pool.submit(lambda: [row for g in groups for row in side_by_side(of_all, g, rules)])
            rows = side_by_side(by_target, _wanted(experiments.namespaced(), only), rules)
            return rows + others.result(), by_target.version()


def _wanted(experiments: Sequence[Experiment], only: Container[str]) -> Sequence[Experiment]:
    return [one for one in experiments if not only or any(alert in only for alert in one.alerts)]


def went_through(row: Row) -> bool:
    """Silent before its cause, fired, and resolved."""
    return bool(row["silent_before"]) and row["fired_s"] is not None and row["resolved_s"] is not None


def main() -> int:
    """Run the drill and write both files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", default=[], metavar="ALERT")
    parser.add_argument("--rules", type=Path, default=LIVE)
    parser.add_argument("--markdown", type=Path, default=Path("docs/alert-drill.md"))
    parser.add_argument("--json", type=Path, default=Path("docs/data/alert-drill.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows, version = all_drills(Path(folder), options.rules, options.only)
    rules = rules_of(options.rules)
    before: Row = json.loads(options.json.read_text()) if options.json.is_file() else {"rows": [], "runs": []}
    told: Row = {
        "rules": str(options.rules),
        "prometheus": version,
        "cpus": os.cpu_count(),
        "rows": _latest(rules, [*before["rows"], *rows]),
        "runs": [*before["runs"], _run_of(rows)],
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(told, indent=1) + "\n")
    options.markdown.write_text(page_of(told))
    print(table(rows))
    undrilled = {rule.key for rule in rules} - {_key(row) for row in told["rows"]}
    for what in (*told["runs"][-1]["not_through"], *sorted(undrilled)):
        print(f"not drilled through: {what}", file=sys.stderr)
    return 1 if told["runs"][-1]["not_through"] or undrilled else 0


def _latest(rules: Sequence[Rule], rows: Sequence[Row]) -> list[Row]:
    """Of each rule that there still is, the last row that went through; rules in the order of their file."""
    through = {_key(row): row for row in rows if went_through(row)}
    return [through[rule.key] for rule in rules if rule.key in through]


def _run_of(rows: Sequence[Row]) -> Row:
    missing = [_key(row) for row in rows if not went_through(row)]
    return {"rules": len(rows), "load": round(os.getloadavg()[0], 1), "not_through": missing}


def _key(row: Row) -> str:
    return Rule(row["alert"], row["labels"], 0, "").key


if __name__ == "__main__":
    sys.exit(main())
