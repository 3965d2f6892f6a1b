"""The summary in GitHub-flavoured Markdown, verdict first: made for a CI job's summary page."""

from collections.abc import Iterable, Sequence

from chaos.report import attained, beyond, cost, disturbances, few, lifecycle, story
from chaos.report.markdown import code, section, table, text
from chaos.report.recorded import Recorded
from chaos.report.words import instant, plain, seconds, share

_MOST_ROWS = 25


def render(run: Recorded) -> str:
    """The document: below the megabyte that a job summary may have, and the 64 KiB of a comment."""
    journal = run.journal
    mark = story.MARKS[journal.verdict]
    parts = [
        f"## {mark} {text(story.headline(journal))}",
        f"> {text(journal.hypothesis)}",
        text(cost.note(journal) or ""),
        "\n".join(f"- {text(reason)}" for reason in story.why_inconclusive(journal)[:_MOST_ROWS]),
        _assertions(run),
        "" if journal.observes else section("Recovery", _recovery(run)),
        section("Disturbances", _disturbances(run)),
        section("Phases", _phases(run)),
        section("Objectives", _table(attained.heads(journal), attained.rows(journal))),
        section("Parts of the load", _table(beyond.PART_HEADS, beyond.parts(journal))),
        section("The server's word", _server(run)),
        section("Cold starts", _table(beyond.COLD_START_HEADS, beyond.cold_starts(journal)[:_MOST_ROWS])),
        section("What a request cost", _cost(run)),
        section(
            "Status checks", _table(beyond.STATUS_CHECK_HEADS, beyond.status_checks(journal)[:_MOST_ROWS])
        ),
        section("Victims", _victims(run)),
        section("Outcomes", _outcomes(run)),
        _how(run),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _assertions(run: Recorded) -> str:
    rows = (
        (
            code(one.expression),
            story.observed(one),
            story.interval(one),
            plain(one.n),
            f"{story.MARKS[one.verdict]} {one.verdict}",
            text(story.reason(run.journal, one)),
        )
        for one in run.journal.assertions
    )
    return table(("assertion", "observed", "interval (at least 95 %)", "n", "verdict", "reason"), rows)


def _recovery(run: Recorded) -> str:
    journal, recovery = run.journal, run.journal.recovery
    rows = [
        (name, story.recovery_value(journal, name), text(recovery.reason(name) or ""))
        for name in ("service", "capacity")
    ]
    why_lost = text(recovery.lost_requests_reason or "")
    rows += [(tile.title.lower(), text(tile.value), text(tile.terms)) for tile in beyond.tiles(journal)]
    rows.append(("lost requests", plain(recovery.lost_requests), why_lost))
    shown = table(("from the start of the fault", "value", "reason"), rows)
    terms = f"Goodput is back at {story.recovery_terms(journal)}"
    return f"{shown}\n\n{terms}; resolution {seconds(recovery.resolution_s)}."


def _disturbances(run: Recorded) -> str:
    rows = (tuple(map(text, row)) for row in disturbances.rows(run.journal))
    return table(("from", "for", "requests", "goodput"), rows)


def _phases(run: Recorded) -> str:
    rows = (
        (
            text(phase.name),
            f"{seconds(phase.start_s)} to {seconds(phase.end_s)}",
            plain(phase.n),
            share(phase.goodput),
            seconds(phase.ttft_p50_s),
            text(few.p99(phase.ttft_p99_s, phase.n)),
            text(few.p99(phase.e2e_p99_s, phase.n)),
            share(phase.error_ratio),
        )
        for phase in run.journal.phases
    )
    heads = ("phase", "run clock", "n", "goodput", "TTFT p50", "TTFT p99", "e2e p99", "errors")
    marked = text(few.note(run.journal))
    return table(heads, rows) + (f"\n\n{marked}" if marked else "")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return table(heads, (tuple(map(text, row)) for row in rows))


def _server(run: Recorded) -> str:
    names, rows = beyond.of_phases(run.journal)
    return _table(("figure", *names), rows)


def _cost(run: Recorded) -> str:
    rows = ((text(name), *cells) for name, cells in cost.rows(run.journal))
    return table(("processor time", *map(text, cost.phases(run.journal))), rows)


def _victims(run: Recorded) -> str:
    rows = [
        (
            text(victim.replica),
            text(victim.occurrence),
            instant(victim.hit_s),
            text(victim.replacement or "none") if victim.gone else "it stayed",
            seconds(victim.ready_after_s),
            seconds(victim.served_after_s),
        )
        for victim in lifecycle.victims(run.timeline)
    ]
    heads = ("victim", "fault", "at", "replacement", "ready after", "first request served after")
    more = f"\n\nand {len(rows) - _MOST_ROWS} more" if len(rows) > _MOST_ROWS else ""
    return table(heads, rows[:_MOST_ROWS]) + more


def _outcomes(run: Recorded) -> str:
    rows = ((text(name), f"{n:,}", of) for name, n, of in story.outcomes(run.journal))
    said = ((text(one.outcome), text(one.words), f"{one.count:,}") for one in story.refusals(run.journal))
    parts = (
        table(("outcome", "requests", "share"), rows),
        text(story.common_age(run.journal) or ""),
        table(("outcome", "what the server said", "requests"), said),
    )
    return "\n\n".join(part for part in parts if part)


def _how(run: Recorded) -> str:
    journal = run.journal
    versions = ", ".join(f"{name} {version}" for name, version in journal.versions.items())
    load, offered = journal.load, story.offered(journal)
    return (f"{text(offered)}.\n\n" if offered else "") + (
        f"{text(journal.experiment)} on {text(journal.target)}, seed {journal.seed}, "
        f"{text(journal.started_at)}; {load.planned:,} planned arrivals, generator lag p99 "
        f"{seconds(load.lag_p99_s)}; {text(versions)}"
    )
