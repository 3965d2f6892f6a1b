"""Prometheus rules as data, the windows they look through, and their YAML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

Severity = Literal["page", "ticket"]

MINUTE_S = 60.0
HOUR_S = 60 * MINUTE_S
DAY_S = 24 * HOUR_S
SCRAPES_PER_WINDOW = 4
"""Prometheus 3.x leaves out the left edge of a window: fewer scrapes may give a rate nothing to work on."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How often targets are scraped, and how much faster than production the rules are to react."""

    scrape_s: float = 15.0
    factor: float = 1.0
    """Every window and every `for` is divided by this: chaos runs last minutes, not days."""

    def __post_init__(self) -> None:
        if self.scrape_s <= 0 or self.factor < 1:
            raise ValueError(
                f"scrape_s must be above 0, factor 1 or more, not {self.scrape_s} and {self.factor}"
            )

    def window(self, nominal_s: float) -> str:
        """The range of a selector, four scrapes at the least, however short it was meant to be."""
        return duration(max(nominal_s / self.factor, SCRAPES_PER_WINDOW * self.scrape_s))

    def hold(self, nominal_s: float) -> str:
        """The `for` of an alert, two scrapes at the least: one odd sample is no alert. 0 stays 0."""
        return duration(max(nominal_s / self.factor, 2 * self.scrape_s) if nominal_s else 0)


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording rule."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As a rule file has it."""
        return {"record": self.record, "expr": self.expr} | (
            {"labels": dict(self.labels)} if self.labels else {}
        )


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule; its runbook page is `<name>.md`."""

    name: str
    expr: str
    severity: Severity
    summary: str
    description: str
    hold: str = "0s"
    """How long the expression must be true before the alert fires."""
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self, runbooks: str) -> dict[str, Any]:
        """As a rule file has it; `runbooks` is the URL or folder that holds the pages, with a slash at its end."""
        return {
            "alert": self.name,
            "expr": self.expr,
            **({} if self.hold == "0s" else {"for": self.hold}),
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{runbooks}{self.name}.md",
            },
        }


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated together, in order."""

    name: str
    rules: Sequence[Recording | Alert]
    interval: str = ""
    """How often, where not as often as the server evaluates by itself."""

    def document(self, runbooks: str) -> dict[str, Any]:
        """As a rule file has it."""
        rules = [
            rule.document(runbooks) if isinstance(rule, Alert) else rule.document() for rule in self.rules
        ]
        return {"name": self.name} | ({"interval": self.interval} if self.interval else {}) | {"rules": rules}


def duration(seconds: float) -> str:
    """As Prometheus writes it, in the largest unit that divides it: `5m`, `90s`, `250ms`.

    Raises:
        ValueError: below a millisecond, or negative.
    """
    milliseconds = round(seconds * 1000)
    if milliseconds < 0 or (seconds and not milliseconds):
        raise ValueError(f"a duration is 0 or at least a millisecond, not {seconds} s")
    if not milliseconds:
        return "0s"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def to_yaml(document: Mapping[str, Any], head: str) -> str:
    """The document as YAML, keys in their order, expressions over several lines as blocks, below a comment."""
    comment = "".join(f"# {line}\n" for line in head.splitlines())
    return comment + yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


class _Dumper(yaml.SafeDumper):
    """Block style for text of several lines, and lists indented below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's signature
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
