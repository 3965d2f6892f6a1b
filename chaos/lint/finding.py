"""One thing that was found, and what comes of all of them: text, JSON, or what GitHub makes annotations of."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos.errors import ExitCode, InputError
from chaos.lint.files import Unchecked
from chaos.lint.rule import Severity
from chaos.reading.documents import Document, Problem, dotted


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place at which one rule does not hold."""

    path: Path
    line: int
    key_path: str
    """as people write it; empty where a whole file is meant"""
    rule: str
    severity: Severity
    message: str
    """key path, what was expected, and what was found"""


@dataclass(frozen=True, slots=True)
class Result:
    """All that was found in all files."""

    findings: Sequence[Finding] = ()
    unchecked: Sequence[Unchecked] = ()
    refusals: Sequence[InputError] = ()
    """files that could not be read"""
    checked: int = 0
    """objects that were looked at"""
    skipped: Sequence[str] = field(default=())
    """rules that were left out"""

    @property
    def errors(self) -> int:
        """How many of the findings are errors."""
        return sum(found.severity == "error" for found in self.findings)

    @property
    def exit_code(self) -> ExitCode:
        """What the process says: a file that could not be read is worse than whatever was found."""
        if self.refusals:
            return ExitCode.WRONG_INPUT
        return ExitCode.DEVIATED if self.errors else ExitCode.PASSED


def finding(document: Document, problem: Problem, rule: str, severity: Severity) -> Finding:
    """A problem of a document as a finding of a rule."""
    line = document.line(problem.key_path)
    message = document.said(problem).removeprefix(f"{document.path}:{line}: ")
    return Finding(document.path, line, dotted(problem.key_path), rule, severity, message)


def findings_of(path: Path, error: InputError, rule: str) -> list[Finding]:
    """The problems of an error of our own readers, a line each."""
    found = []
    for text in str(error).splitlines():
        number, _, message = text.removeprefix(f"{path}:").partition(": ")
        where = (int(number), message) if number.isdecimal() else (1, text)
        key_path = where[1].partition(": ")[0]
        found.append(Finding(path, where[0], key_path, rule, "error", where[1]))
    return found


def as_text(result: Result) -> str:
    """A line for each, as `aftershock validate` writes it, and one for all."""
    lines = [
        f"{one.path}:{one.line}: {one.message}  [{'' if one.severity == 'error' else 'advice: '}{one.rule}]"
        for one in result.findings
    ]
    lines += [f"{one.path}:{one.line}: {one.what}: not checked: {one.reason}" for one in result.unchecked]
    advice = len(result.findings) - result.errors
    lines.append(
        f"{result.checked} checked, {len(result.unchecked)} not checked: {result.errors} errors, {advice} advice"
    )
    return "\n".join(lines)


def as_json(result: Result) -> str:
    """All of it as one JSON object."""
    findings = [
        {
            "rule": one.rule,
            "severity": one.severity,
            "file": str(one.path),
            "line": one.line,
            "key_path": one.key_path,
            "message": one.message,
        }
        for one in result.findings
    ]
    unchecked = [
        {"file": str(one.path), "line": one.line, "what": one.what, "reason": one.reason}
        for one in result.unchecked
    ]
    whole = {
        "findings": findings,
        "not_checked": unchecked,
        "unreadable": [str(error) for error in result.refusals],
        "checked": result.checked,
        "errors": result.errors,
        "rules_left_out": list(result.skipped),
    }
    return json.dumps(whole, indent=2)


def as_github(result: Result) -> str:
    """A workflow command for each: an annotation of the line in the pull request.

    Source: GitHub's documentation of workflow commands, `error`, `warning` and `notice`, with its escapes.
    """
    lines = [
        _command("error" if one.severity == "error" else "warning", one.path, one.line, one.rule, one.message)
        for one in result.findings
    ]
    lines += [
        _command("notice", one.path, one.line, "not checked", f"{one.what}: {one.reason}")
        for one in result.unchecked
    ]
    lines += [f"::error title=unreadable::{_escaped(str(error))}" for error in result.refusals]
    return "\n".join(lines)


def _command(level: str, path: Path, line: int, title: str, message: str) -> str:
    place = f"file={_property(str(path))},line={line},title={_property(title)}"
    return f"::{level} {place}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
