"""What the alert drill writes: the rules it drills, and the page made of its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

LIVE = Path("dashboards/generated/live.rules.yaml")
Row = dict[str, Any]

_HEAD = """\
# Alert drill

Written by `python -m benchmarks.alert_drill`, never by hand. Each alert of [`live.rules.yaml`](../{rules}) was made to
fire and to resolve on a real Prometheus {version} that scrapes and evaluates every second; windows and holds are
production's divided by 60, so an hour is a minute (`for` is the scaled hold). Silent before means that the alert did
not fire when its cause began, after 30 s of baseline. Times are from the cause's begin to `firing`, and from its end to
no alert, read five times a second; {cpus} cores, shared with so much other work that times are upper bounds (load: of
one minute, at the row's end). A cause is *real* (processes, sockets), *recorded* on an H200 and replayed, or *made*:
events reported to the real instrumentation.

| alert | which | cause | how made | for | silent before | fired after | resolved after | load |
|---|---|---|---|---|---|---|---|---|
"""

_RUNS = """
Every run that went into the table, whole or with `--only`, the oldest first. A run with too little processor misses
scrapes, and an alert whose series have gaps may then be late or never fire; each row is the last one that went through.

"""


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert of a rule file."""

    name: str
    labels: Mapping[str, str]
    """Those that the rule itself gives."""
    hold_s: float
    """`for`, as scaled."""
    runbook: str

    @property
    def key(self) -> str:
        """What tells it from others of its name: severity, and the signal or the windows."""
        return " ".join([self.name, *(f"{k}={v}" for k, v in sorted(self.labels.items()))])


def rules_of(file: Path) -> Sequence[Rule]:
    """Every alert of the file."""
    groups = yaml.safe_load(file.read_text())["groups"]
    return [
        Rule(
            entry["alert"],
            entry.get("labels", {}),
            float(entry.get("for", "0s").removesuffix("s")),
            entry["annotations"]["runbook_url"],
        )
        for group in groups
        for entry in group["rules"]
        if "alert" in entry
    ]


def page_of(told: Row) -> str:
    """The page: a table of the latest measurement of each alert that went through, and every run there was."""
    head = _HEAD.format(rules=told["rules"], version=told["prometheus"], cpus=told["cpus"])
    return head + table(told["rows"]) + _RUNS + "".join(_run_line(run) for run in told["runs"])


def _run_line(run: Row) -> str:
    missing = ", ".join(run["not_through"]) or "nothing"
    note = run.get("note", "")
    return f"- {run['rules']} rules, load {run['load']:g}: not through: {missing}.{note}\n"


def table(rows: Sequence[Row]) -> str:
    """A line of Markdown for each row."""
    lines = []
    for row in rows:
        which = ", ".join(str(value) for value in row["labels"].values())
        seconds = [
            f"{row[name]} s" if row[name] is not None else "**not**" for name in ("fired_s", "resolved_s")
        ]
        runbook = f"[{row['alert']}]({row['runbook'].removeprefix('docs/')})"
        silent = "yes" if row["silent_before"] else "**no**"
        cells = [
            runbook,
            which,
            row["cause"],
            row["how"],
            f"{row['for_s']:g} s",
            silent,
            *seconds,
            f"{row['load']:g}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
