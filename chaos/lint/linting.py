"""`aftershock lint`: from its options to its output."""

import argparse
import re
import sys
from collections.abc import Sequence

from chaos.errors import ExitCode, InputError
from chaos.lint import schema
from chaos.lint.check import READERS, check
from chaos.lint.files import read
from chaos.lint.finding import as_github, as_json, as_text
from chaos.lint.registry import RULES
from chaos.reading.strict import suggestion

_FORMATS = {"text": as_text, "json": as_json, "github": as_github}


def lint(given: argparse.Namespace) -> int:
    """Look at the files that were given, say what was found; returns the exit code.

    Raises:
        InputError: an option is wrong, or the schemas are needed and not installed.
    """
    if given.list:
        print(rule_list())
        return ExitCode.PASSED
    if not given.files:
        raise InputError("expected at least one PATH", hint="aftershock lint deploy/")
    names = _names(given.rule, given.skip)
    version = _version(given.kubernetes_version)
    result = check(read(given.files), [rule for rule in RULES if rule.name in names], names, version)
    print(_FORMATS[given.format](result))
    for error in result.refusals if given.format == "text" else ():
        print(f"{error}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
    return result.exit_code


def rule_list() -> str:
    """Every rule with its severity, its sentence and its reason."""
    lines = [f"{name} (error)\n  {sentence}" for name, sentence in READERS.items()]
    lines += [f"{rule.name} ({rule.severity})\n  {rule.sentence}\n  {rule.why}" for rule in RULES]
    return "\n".join(lines)


def _names(only: Sequence[str], without: Sequence[str]) -> set[str]:
    known = {*READERS, *(rule.name for rule in RULES)}
    for name in (*only, *without):
        if name not in known:
            raise InputError(
                f"expected the name of a rule{suggestion(name, known)}, got {name}",
                hint="aftershock lint --list",
            )
    return (set(only) or known) - set(without)


def _version(text: str) -> tuple[int, int]:
    """A release of Kubernetes whose schemas there are."""
    found = re.fullmatch(r"v?(\d{1,3})\.(\d{1,3})(\.\d{1,3})?", text)
    there = schema.supported()
    if found is None or (int(found[1]), int(found[2])) not in there:
        first, last = (".".join(map(str, version)) for version in (there[0], there[-1]))
        raise InputError(f"--kubernetes-version: expected a release from {first} to {last}, got {text}")
    return int(found[1]), int(found[2])
