"""The summary of a series in GitHub-flavoured Markdown, verdict first: made for a CI job's summary page."""

from chaos.record.trials import RecoveryOfTrials, Series
from chaos.report import story
from chaos.report.markdown import code, section, table, text
from chaos.report.series import sentences
from chaos.report.words import plain, seconds, share

_MOST_TRIALS = 100


def render(series: Series) -> str:
    """The document: below the megabyte that a job summary may have."""
    mark = story.MARKS[series.verdict]
    parts = [
        f"## {mark} {text(f'{series.verdict.upper()}: {series.sentence}')}",
        f"> {text(series.hypothesis)}",
        "\n".join(f"- {text(reason)}" for reason in series.reasons),
        _assertions(series),
        section("Recovery over the trials", _recoveries(series)),
        section("What so many trials allow to say", _claims(series)),
        section("Trials", _trials(series)),
        _how(series),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _assertions(series: Series) -> str:
    rows = (
        (
            code(one.expression),
            plain(one.passed),
            plain(one.deviated),
            plain(one.inconclusive),
            share(one.deviated_rate_below),
        )
        for one in series.assertions
    )
    return table(
        ("assertion", "passed", "deviated", "inconclusive", "deviation rate below (95 % confidence)"), rows
    )


def _recoveries(series: Series) -> str:
    rows = (
        (
            one.name,
            plain(one.n),
            sentences.at_most(one.median_s, one.within_s),
            sentences.between(one.median_interval_s, one.within_s) or text(one.median_interval_s_reason),
            sentences.at_most(one.largest_s, one.within_s),
            _bounds(one),
            plain(one.not_recovered),
            plain(one.no_impact),
            plain(one.unknown),
        )
        for one in series.recoveries
    )
    heads = (
        "of",
        "n",
        "median",
        "its 95 % interval",
        "largest",
        "bounds (95 % confidence)",
        "not recovered",
        "no impact",
        "unknown",
    )
    return table(heads, rows)


def _bounds(of: RecoveryOfTrials) -> str:
    found = [
        f"P{one.percent:g} ≤ {sentences.at_most(one.at_most_s, of.within_s)}"
        for one in of.bounds
        if one.at_most_s is not None
    ]
    return text(", ".join(found) or f"P{of.bounds[0].percent:g} {of.bounds[0].at_most_s_reason}")


def _claims(series: Series) -> str:
    rows = (
        (f"at least {share(one.passes_share)} of trials pass", plain(one.needs), "yes" if one.met else "no")
        for one in series.claims
    )
    return table(("claim, at 95 % confidence", "needs trials without a deviation", "carried here"), rows)


def _trials(series: Series) -> str:
    rows = [
        (
            plain(trial.number),
            "sham" if trial.sham else "",
            plain(trial.seed),
            seconds(trial.fault_after_s),
            text(sentences.of_trial(trial)),
        )
        for trial in series.trials
    ]
    more = f"\n\nand {len(rows) - _MOST_TRIALS} more" if len(rows) > _MOST_TRIALS else ""
    return table(("trial", "", "seed", "fault after", "came to"), rows[:_MOST_TRIALS]) + more


def _how(series: Series) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in series.versions.items())
    return text(
        f"{series.experiment} on {series.target}, seed {series.seed}, faults up to {seconds(series.jitter_s)} later, "
        f"{series.started_at}; {versions}"
    )
