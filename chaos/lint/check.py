"""What is looked at: each object by its schema and the rules, faults and experiments by their own readers."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from chaos.errors import InputError
from chaos.experiment.experiment import read_experiment
from chaos.experiment.foreseen import require_sound
from chaos.faults.kinds import NAMESPACE
from chaos.faults.manifest import CHAOS_MESH, OWN
from chaos.faults.objects import read_object
from chaos.lint import schema
from chaos.lint.files import Reading, Unchecked
from chaos.lint.finding import Finding, Result, finding, findings_of
from chaos.lint.objects import Inventory, Object
from chaos.lint.rule import Rule
from chaos.lint.rules import removed
from chaos.reading.documents import Problem

SCHEMA, FAULT, EXPERIMENT = "schema", "fault", "experiment"
READERS = {
    SCHEMA: "An object is as the schema of its kind says, with no key that there is none of.",
    FAULT: "A fault is one that Chaos Mesh's API server takes, and that somebody can have meant.",
    EXPERIMENT: "An experiment is one that `aftershock run` takes.",
}
"""What is found by reading alone, by the name under which it is reported."""


def check(reading: Reading, rules: Sequence[Rule], names: set[str], version: tuple[int, int]) -> Result:
    """Look at everything that was read.

    Args:
        reading: the objects and experiments.
        rules: to hold the objects to.
        names: of all that is looked for, those of `READERS` among them.
        version: of the Kubernetes that the objects are for.

    Raises:
        InputError: the schemas are needed and not installed.
    """
    inventory = Inventory(reading.objects, frozenset(reading.given_tags), version)
    findings: list[Finding] = []
    unchecked = [*reading.unchecked]
    for each in reading.objects:
        by_rules = [
            finding(each.document, problem, rule.name, rule.severity)
            for rule in rules
            for problem in rule.problems(each, inventory)
        ]
        findings += by_rules
        if each.api_version in (CHAOS_MESH, OWN):
            findings += _of_fault(each) if FAULT in names else ()
        elif SCHEMA in names:
            try:
                findings += [
                    finding(each.document, one, SCHEMA, "error") for one in schema.problems(each, version)
                ]
            except schema.NotCheckedError as reason:
                gone = any(found.rule == removed.removed_api.name for found in by_rules)
                if not each.of_kubernetes:
                    unchecked.append(_unchecked(each, str(reason)))
                elif not gone:
                    findings.append(_unknown(each, str(reason)))
    if EXPERIMENT in names:
        findings += [found for path in reading.experiments for found in _of_experiment(path)]
    checked = len(reading.objects) + len(reading.experiments) - (len(unchecked) - len(reading.unchecked))
    return Result(sorted(set(findings)), unchecked, reading.refusals, checked)


def _unchecked(each: Object, reason: str) -> Unchecked:
    what = f"{each.kind or 'an object'} {each.name}".rstrip()
    return Unchecked(each.document.path, each.document.line(()), what, reason)


def _unknown(each: Object, reason: str) -> Finding:
    problem = Problem(("kind",), f"expected a kind that there is: {reason}")
    return finding(each.document, problem, SCHEMA, "error")


def _of_fault(each: Object) -> Iterator[Finding]:
    try:
        planned = read_object(each.document, NAMESPACE)
    except InputError as error:
        yield from findings_of(each.document.path, error, FAULT)
        return
    for doubt in planned.doubts:
        yield finding(planned.document, doubt.problem, FAULT, "advice")


def _of_experiment(path: Path) -> list[Finding]:
    try:
        experiment = read_experiment(path)
        require_sound(experiment)
    except InputError as error:
        return findings_of(path, error, EXPERIMENT)
    return []
