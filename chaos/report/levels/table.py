"""The levels of a load as CSV: a line per rate, seconds and tokens as plain numbers, `inf` where failures reach it."""

import csv
import io
from collections.abc import Mapping

from chaos.measuring.performance import LATENCIES
from chaos.record.load_run import Level, LoadRun

_FACTS = (
    "rate_per_s",
    "lasts_s",
    "planned",
    "ok",
    "good",
    "goodput",
    "requests_per_s",
    "good_per_s",
    "output_tokens_per_s",
    "prompt_tokens_per_s",
    "in_flight",
    "lag_p99_s",
    "carried",
    "decided",
)


def render(record: LoadRun) -> str:
    """The document; a column for each outcome that occurred."""
    outcomes = sorted({name for level in record.levels for name in level.outcomes})
    rows = [_row(level, outcomes) for level in record.levels]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else list(_FACTS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(level: Level, outcomes: list[str]) -> Mapping[str, object]:
    facts = {name: getattr(level, name) for name in _FACTS}
    latencies = {
        f"{name}_{figure}": value
        for name in LATENCIES
        for figure, value in dict(getattr(level, name)).items()
    }
    return {**facts, **latencies, **{f"outcome_{name}": level.outcomes.get(name, 0) for name in outcomes}}
