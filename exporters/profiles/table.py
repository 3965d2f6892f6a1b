"""Coverage as people and programs read it: one table, or JSON."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from exporters.profiles.coverage import Coverage, SignalCoverage

_HEAD = ("signal", "answer", "type", "series", "what to know")
_GAP = "  "


def as_table(coverage: Coverage, *, width: int) -> str:
    """The table with what it is about above it; `width` in characters, as far as it can be kept."""
    rows = [_HEAD, *_rows(coverage.signals)]
    # Names wrap at their spaces: the longest one decides.
    widths = [max(len(word) for row in rows for word in row[column].split()) for column in range(4)]
    widths.append(max(40, width - sum(widths) - len(_GAP) * 4))
    return "\n".join([*_title(coverage), *(line for row in rows for line in _lines(row, widths)), ""])


def as_json(coverage: Coverage, source: str) -> dict[str, Any]:
    """The same as plain values; keys do not change within one format."""
    return {
        "format": 1,
        "source": source,
        "engine": coverage.profile.engine,
        "profile_release": coverage.profile.release,
        "notes": list(coverage.profile.notes),
        "also": list(coverage.also),
        "unread_lines": coverage.unread,
        "first_unread": coverage.first_unread,
        "native_histograms": list(coverage.native),
        "signals": [asdict(signal) for signal in coverage.signals],
    }


def _title(coverage: Coverage) -> list[str]:
    answers = [signal.answer for signal in coverage.signals]
    told = sum(answer in ("yes", "limited") for answer in answers)
    read_as = f"{coverage.profile.title}, read by the profile of release {coverage.profile.release}"
    lines = [f"{read_as}: {told} of {len(answers)} signals, {answers.count('limited')} of them limited"]
    lines += coverage.profile.notes
    if coverage.also:
        lines.append(f"also here: series of {', '.join(coverage.also)} (choose with --engine)")
    if coverage.unread:
        lines.append(f"{coverage.unread} lines could not be read; {coverage.first_unread}")
    if coverage.native:
        lines.append(f"native histograms, left out: {', '.join(coverage.native)}; classic buckets are read")
    if any(":" in family for signal in coverage.signals for family in signal.families):
        lines.append(
            "names with a colon: Prometheus 2, and 3 with underscore escaping, may store _ in its place; "
            "rules must match both"
        )
    return [*lines, ""]


def _rows(signals: Sequence[SignalCoverage]) -> Iterator[tuple[str, ...]]:
    """What can be told, signal by signal; then what cannot, by the reason."""
    reasons: dict[str, list[str]] = {}
    for signal in signals:
        if signal.answer == "none":
            reasons.setdefault(signal.note, []).append(signal.signal)
        else:
            series = " ".join(signal.families) or "-"
            yield (signal.signal, signal.answer, ", ".join(signal.types) or "-", series, signal.note)
    for reason, names in reasons.items():
        yield (" ".join(names), "none", "-", "-", reason)


def _lines(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    cells = [
        textwrap.wrap(cell, width, break_on_hyphens=False) for cell, width in zip(row, widths, strict=True)
    ]
    return [
        _GAP.join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()
        for parts in zip_longest(*cells, fillvalue="")
    ]
