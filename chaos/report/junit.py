"""JUnit XML for CI: a case per assertion, one for the proof of the fault, one for the soundness of the data.

Green exactly when the exit code is 0: deviated is a failure, and what decides nothing is an error, no skip. The suite
lasts as long as the run; a case that is about a duration takes what was observed, so that a CI draws it over builds.
Figures are properties, of a run that passed too.
"""

import math
import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

from chaos.record.journal import Journal
from chaos.record.sections import Assertion
from chaos.record.verdict import Verdict
from chaos.report import story

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {Verdict.DEVIATED: "failure", Verdict.INCONCLUSIVE: "error"}


def render(journal: Journal) -> str:
    """The XML document."""
    suite = ET.Element("testsuite", name=text(f"aftershock.{journal.experiment}"))
    suite.set("timestamp", text(journal.started_at))
    suite.set("time", _figure(journal.load.plan_end_s))
    add_properties(suite, figures(journal))
    for assertion in journal.assertions:
        case = _add(suite, assertion.expression, assertion.verdict, _explain(journal, assertion))
        observed = assertion.observed
        if observed is not None and assertion.dimension == "duration" and math.isfinite(observed):
            case.set("time", _figure(observed))
    unproved = _unproved(journal)
    _add(suite, "the fault is proved", Verdict.INCONCLUSIVE if unproved else Verdict.PASSED, unproved)
    unsound = "; ".join(journal.reasons)
    if not unsound and journal.exit_code != 0 and not suite.findall("testcase/*"):
        unsound = story.headline(journal)
    _add(suite, "the data is sound", Verdict.INCONCLUSIVE if unsound else Verdict.PASSED, unsound)
    return document(suite)


def document(suite: ET.Element) -> str:
    """A suite with its counts, as a file holds it."""
    suite.set("tests", str(len(suite.findall("testcase"))))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f"testcase/{tag}"))))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def add_properties(of: ET.Element, values: Mapping[str, float | str | None]) -> None:
    """Figures of a suite, or of a case, by name; what could not be had has no property."""
    properties = ET.SubElement(of, "properties")
    for name, value in values.items():
        if value is not None:
            ET.SubElement(properties, "property", name=name, value=_figure(value))


def figures(journal: Journal) -> Mapping[str, float | str | None]:
    """What a trend over builds is drawn of: seconds, shares and counts as the journal has them."""
    recovery, load = journal.recovery, journal.load
    return {
        "verdict": str(journal.verdict),
        "seed": journal.seed,
        "rate_per_s": load.rate,
        "planned": load.planned,
        "recovery.service_s": recovery.service_s,
        "recovery.capacity_s": recovery.capacity_s,
        "lost_requests": recovery.lost_requests,
        **{
            f"{phase.name}.{key}": getattr(phase, key)
            for phase in journal.phases
            if not phase.of_occurrence
            for key in ("n", "goodput", "ttft_p99_s", "e2e_p99_s", "error_ratio")
        },
    }


def _figure(value: float | str) -> str:
    """As the journal has it, six digits of it: `0.052`, `inf`."""
    return text(value) if isinstance(value, int | str) else f"{value:.6g}"


def _add(suite: ET.Element, name: str, verdict: str, message: str) -> ET.Element:
    case = ET.SubElement(suite, "testcase", classname=suite.get("name", ""), name=text(name))
    if verdict != Verdict.PASSED:
        ET.SubElement(case, _TAGS[Verdict(verdict)], type=str(verdict), message=text(message))
    return case


def _explain(journal: Journal, assertion: Assertion) -> str:
    told = f"observed {story.observed(assertion)}, bound {story.bound(assertion)}"
    reason = story.reason(journal, assertion)
    return f"{told}: {reason}" if reason else told


def _unproved(journal: Journal) -> str:
    if not journal.faults:
        return "no fault was injected"
    return "; ".join(
        f"{fault.id}: not every target is proved to have been hit"
        for fault in journal.faults
        if not fault.verified
    )


def text(value: object) -> str:
    """XML has no way to write control characters."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", str(value))
