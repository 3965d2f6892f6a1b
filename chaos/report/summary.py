"""The summary in GitHub-flavoured Markdown, verdict first: made for a CI job's summary page."""

import re
from collections.abc import Iterable, Sequence

from chaos.report import cost, disturbances, lifecycle, story
from chaos.report.recorded import Recorded
from chaos.report.words import instant, plain, seconds, share

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~])")
_MOST_ROWS = 25


def render(run: Recorded) -> str:
    """The document: below the megabyte that a job summary may have, and the 64 KiB of a comment."""
    journal = run.journal
    mark = story.MARKS[journal.verdict]
    parts = [
        f"## {mark} {_text(story.headline(journal))}",
        f"> {_text(journal.hypothesis)}",
        _text(cost.note(journal) or ""),
        "\n".join(f"- {_text(reason)}" for reason in story.why_inconclusive(journal)[:_MOST_ROWS]),
        _assertions(run),
        "" if journal.observes else _section("Recovery", _recovery(run)),
        _section("Disturbances", _disturbances(run)),
        _section("Phases", _phases(run)),
        _section("What a request cost", _cost(run)),
        _section("Victims", _victims(run)),
        _section("Outcomes", _outcomes(run)),
        _how(run),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _assertions(run: Recorded) -> str:
    rows = (
        (
            _code(one.expression),
            story.observed(one),
            story.interval(one),
            plain(one.n),
            f"{story.MARKS[one.verdict]} {one.verdict}",
            _text(story.reason(run.journal, one)),
        )
        for one in run.journal.assertions
    )
    return _table(("assertion", "observed", "95 % interval", "n", "verdict", "reason"), rows)


def _recovery(run: Recorded) -> str:
    journal, recovery = run.journal, run.journal.recovery
    rows = [
        (name, story.recovery_value(journal, name), _text(recovery.reason(name) or ""))
        for name in ("service", "capacity")
    ]
    why_lost = _text(recovery.lost_requests_reason or "")
    rows.append(("lost requests", plain(recovery.lost_requests), why_lost))
    table = _table(("from the start of the fault", "value", "reason"), rows)
    terms = f"Goodput is back at {story.recovery_terms(journal)}"
    return f"{table}\n\n{terms}; resolution {seconds(recovery.resolution_s)}."


def _disturbances(run: Recorded) -> str:
    rows = (tuple(map(_text, row)) for row in disturbances.rows(run.journal))
    return _table(("from", "for", "requests", "goodput"), rows)


def _phases(run: Recorded) -> str:
    rows = (
        (
            _text(phase.name),
            f"{seconds(phase.start_s)} to {seconds(phase.end_s)}",
            plain(phase.n),
            share(phase.goodput),
            seconds(phase.ttft_p50_s),
            seconds(phase.ttft_p99_s),
            seconds(phase.e2e_p99_s),
            share(phase.error_ratio),
        )
        for phase in run.journal.phases
    )
    heads = ("phase", "run clock", "n", "goodput", "TTFT p50", "TTFT p99", "e2e p99", "errors")
    return _table(heads, rows)


def _cost(run: Recorded) -> str:
    rows = ((_text(name), *cells) for name, cells in cost.rows(run.journal))
    return _table(("processor time", *map(_text, cost.phases(run.journal))), rows)


def _victims(run: Recorded) -> str:
    rows = [
        (
            _text(victim.replica),
            _text(victim.occurrence),
            instant(victim.hit_s),
            _text(victim.replacement or "none") if victim.gone else "it stayed",
            seconds(victim.ready_after_s),
            seconds(victim.served_after_s),
        )
        for victim in lifecycle.victims(run.timeline)
    ]
    heads = ("victim", "fault", "at", "replacement", "ready after", "first request served after")
    more = f"\n\nand {len(rows) - _MOST_ROWS} more" if len(rows) > _MOST_ROWS else ""
    return _table(heads, rows[:_MOST_ROWS]) + more


def _outcomes(run: Recorded) -> str:
    rows = ((_text(name), f"{n:,}", of) for name, n, of in story.outcomes(run.journal))
    return _table(("outcome", "requests", "share"), rows)


def _how(run: Recorded) -> str:
    journal = run.journal
    versions = ", ".join(f"{name} {version}" for name, version in journal.versions.items())
    load, offered = journal.load, story.offered(journal)
    return (f"{_text(offered)}.\n\n" if offered else "") + (
        f"{_text(journal.experiment)} on {_text(journal.target)}, seed {journal.seed}, "
        f"{_text(journal.started_at)}; {load.planned:,} planned arrivals, generator lag p99 "
        f"{seconds(load.lag_p99_s)}; {_text(versions)}"
    )


def _section(title: str, text: str) -> str:
    return f"### {title}\n\n{text}" if text else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *lines]) if lines else ""


def _text(value: object) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _MARKDOWN.sub(r"\\\1", " ".join(str(value).split()))


def _code(value: str) -> str:
    """A code span in a table cell: there a bar needs its backslash, and a backtick would end the span."""
    return "`" + " ".join(value.split()).replace("`", "'").replace("|", r"\|") + "`"
