"""Makes every alert of the live rules fire and resolve on a real Prometheus, and times both.

    python -m benchmarks.alert_drill [--rules FILE] [--markdown docs/alert-drill.md] [--json docs/data/alert-drill.json]

Takes about nine minutes: the slowest burn rate looks back six. Every process ends with it. Exit code 1 when an alert
was not silent before its cause, did not fire, or did not resolve.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.drill_experiments import Experiment, Experiments
from benchmarks.drill_watch import POLL_S, Rule, Watch, rules_of

BASELINE_S = 30.0
UP_WITHIN_S = 60.0
FIRES_WITHIN_S = 90.0
RESOLVES_WITHIN_S = 600.0
LIVE = Path("dashboards/generated/live.rules.yaml")
Row = dict[str, Any]

_HEAD = """\
# Alert drill

Written by `python -m benchmarks.alert_drill`, never by hand. Each alert of [`live.rules.yaml`](../{rules}) was made to
fire and to resolve on a real Prometheus {version} that scrapes and evaluates every second; windows and holds are
production's divided by 60, so an hour is a minute (`for` is the scaled hold). Silent before means that the alert did
not fire when its cause began, after 30 s of baseline. Times are from the cause's begin to `firing`, and from its end to
no alert, read five times a second; {cpus} cores, shared with other work, load {load:.1f} at the end. A cause is *real*
(processes, sockets), *recorded* on an H200 and replayed, or *made*: events reported to the real instrumentation.

| alert | which | cause | how made | for | silent before | fired after | resolved after |
|---|---|---|---|---|---|---|---|
"""


def rules_drilled(experiment: Experiment, rules: Sequence[Rule]) -> Sequence[Rule]:
    """The rules that this experiment is to raise."""
    return [rule for rule in rules if rule.name in experiment.alerts]


def drill(watch: Watch, experiment: Experiment, rules: Sequence[Rule]) -> list[Row]:
    """Begin the cause, wait for all its alerts, end it, wait until all are gone."""
    namespace = None if experiment.everywhere else experiment.name
    silent = {rule.key: not watch.is_firing(rule, namespace) for rule in rules}
    began_s = time.monotonic()
    experiment.begin()
    fired = dict(_reached(watch, rules, namespace, firing=True, within_s=FIRES_WITHIN_S))
    ended_s = began_s if experiment.momentary else time.monotonic()
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
            "silent_before": silent[rule.key],
            "fired_s": _since(began_s, fired.get(rule.key)),
            "resolved_s": _since(ended_s, resolved.get(rule.key)),
            "runbook": rule.runbook,
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


def all_drills(folder: Path, rules_file: Path) -> tuple[list[Row], str]:
    """Every row, and Prometheus' version."""
    rules = rules_of(rules_file)
    with ExitStack() as stack:
        experiments = Experiments()
        stack.callback(experiments.close)
        by_target, of_all = (
            stack.enter_context(Watch(folder / name, rules_file)) for name in ("by-target", "of-all")
        )
        groups = experiments.of_the_whole(of_all)
        with ThreadPoolExecutor(1) as pool:
            others = pool.submit(lambda: [row for g in groups for row in side_by_side(of_all, g, rules)])
            rows = side_by_side(by_target, experiments.namespaced(), rules)
            return rows + others.result(), by_target.version()


def table(rows: Sequence[Row], head: str) -> str:
    """The page."""
    lines = []
    for row in rows:
        which = ", ".join(str(value) for value in row["labels"].values())
        seconds = [
            f"{row[name]} s" if row[name] is not None else "**not**" for name in ("fired_s", "resolved_s")
        ]
        runbook = f"[{row['alert']}]({row['runbook'].removeprefix('docs/')})"
        silent = "yes" if row["silent_before"] else "**no**"
        cells = [runbook, which, row["cause"], row["how"], f"{row['for_s']:g} s", silent, *seconds]
        lines.append(f"| {' | '.join(cells)} |")
    return head + "\n".join(lines) + "\n"


def head_of(told: Row) -> str:
    """The page's first lines."""
    return _HEAD.format(rules=told["rules"], version=told["prometheus"], cpus=told["cpus"], load=told["load"])


def main() -> int:
    """Run the drill and write both files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rules", type=Path, default=LIVE)
    parser.add_argument("--markdown", type=Path, default=Path("docs/alert-drill.md"))
    parser.add_argument("--json", type=Path, default=Path("docs/data/alert-drill.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows, version = all_drills(Path(folder), options.rules)
    order = {rule.key: number for number, rule in enumerate(rules_of(options.rules))}
    rows.sort(key=lambda row: order[Rule(row["alert"], row["labels"], 0, "").key])
    told = {
        "rules": str(options.rules),
        "prometheus": version,
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "rows": rows,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(told, indent=1) + "\n")
    page = table(rows, head_of(told))
    options.markdown.write_text(page)
    print(page)
    never = [r for r in rows if not r["silent_before"] or r["fired_s"] is None or r["resolved_s"] is None]
    undrilled = order.keys() - {Rule(row["alert"], row["labels"], 0, "").key for row in rows}
    for what in (*(row["alert"] for row in never), *undrilled):
        print(f"not drilled through: {what}", file=sys.stderr)
    return 1 if never or undrilled else 0


if __name__ == "__main__":
    sys.exit(main())
