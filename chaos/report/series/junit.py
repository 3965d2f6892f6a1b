"""JUnit XML of a series: a case per trial, one per assertion over all trials, one for the series itself.

Green exactly when the exit code is 0. An undecided trial is skipped, because a series may pass in spite of one; whether
too many are undecided is the last case's to say.
"""

from xml.etree import ElementTree as ET

from chaos.record.trials import Series, Trial
from chaos.record.verdict import Verdict
from chaos.report.junit import document, text
from chaos.report.series import sentences
from chaos.report.words import share


def render(series: Series) -> str:
    """The XML document."""
    suite = ET.Element("testsuite", name=text(f"aftershock.{series.experiment}"))
    suite.set("timestamp", text(series.started_at))
    for trial in series.trials:
        _add(suite, _name(trial), *_of_trial(trial), trial.took_s)
    for one in series.assertions:
        told = (
            f"{one.deviated} of {one.passed + one.deviated} trials deviated; rate below "
            f"{share(one.deviated_rate_below)} at 95 % confidence"
        )
        _add(suite, one.expression, "failure" if one.deviated else "", told)
    undecided = series.exit_code != 0 and series.verdict != Verdict.DEVIATED
    reasons = "; ".join([*series.reasons, series.sentence])
    _add(suite, "the series decides", "error" if undecided or series.cut_short else "", reasons)
    return document(suite)


def _name(trial: Trial) -> str:
    return f"{trial.folder}{' (sham)' if trial.sham else ''}"


def _of_trial(trial: Trial) -> tuple[str, str]:
    """The element that says what is wrong with a trial, and its message."""
    told = sentences.of_trial(trial)
    if trial.sham or trial.verdict == Verdict.PASSED:
        return "", told
    return "failure" if trial.verdict == Verdict.DEVIATED else "skipped", told


def _add(suite: ET.Element, name: str, tag: str, message: str, took_s: float | None = None) -> None:
    case = ET.SubElement(suite, "testcase", classname=suite.get("name", ""), name=text(name))
    if took_s is not None:
        case.set("time", f"{took_s:.3f}")
    if tag:
        ET.SubElement(case, tag, message=text(message))
    else:
        ET.SubElement(case, "system-out").text = text(message)
