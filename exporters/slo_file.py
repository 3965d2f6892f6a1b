"""Reading objectives from a file of the user's: the one reader, for rules, dashboards, experiments and reports.

    ttft: {bound: 2s, share: 99%}            # needed
    e2e: {bound: 1m, share: 99%}             # needed
    availability: {share: 99.9%}             # needed
    itl: {bound: 200ms, share: 99%}          # left out: gaps between tokens have no bound
    tpot: {bound: 50ms, share: 99%}          # left out: the mean of them has none
    goodput: {share: 95%}                    # left out: 99% where a load asks for a goal

Nothing has a default here: whoever says what is good for a model of their own wants no figure of the demo's.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import yaml

from exporters import slo
from exporters.slo import LEAST_SHARE, Objective

KNOWN: Mapping[str, Objective] = {each.name: each for each in slo.KNOWN}
"""Every objective that a file can have, by name."""
NEEDED = ("ttft", "e2e", "availability")
"""Without these nothing says whether a request was good."""

_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+")
_TERM = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNITS_S = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_LONGEST_S = 86_400
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?%")
_RATIO = re.compile(r"0?\.[0-9]+")
_EXPECTED_BOUND = "a duration such as 250ms, 2s or 1m30s, above zero and up to a day"


class SloFileError(ValueError):
    """A file of objectives that cannot be understood: a line per problem, each with file, line, key path and value."""


def read_slo(path: Path) -> tuple[Objective, ...]:
    """The objectives of a file, in the order of `KNOWN`.

    Raises:
        SloFileError: naming file, line, key path, value and what was expected, for every problem.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    except OSError as error:
        raise SloFileError(f"{path}: expected a file of objectives: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SloFileError(f"{path}: expected text in UTF-8: {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}:{mark.line + 1}" if mark else f"{path}"
        raise SloFileError(f"{place}: expected YAML: {error.problem or error}") from error
    except yaml.YAMLError as error:
        raise SloFileError(f"{path}: expected YAML: {error}") from error
    reading = _Reading(path)
    found = reading.objectives(root)
    if reading.problems:
        raise SloFileError("\n".join(reading.problems))
    return tuple(found[name] for name in KNOWN if name in found)


def slo_text(objectives: Iterable[Objective]) -> str:
    """A file that `read_slo` reads as these objectives."""
    lines = []
    for each in objectives:
        bound = "" if each.bound_s is None else f"bound: {Decimal(repr(each.bound_s)):f}s, "
        lines.append(f"{each.name}: {{{bound}share: {Decimal(repr(each.share)) * 100:f}%}}")
    return "\n".join([*lines, ""])


class _Reading:
    """One file on its way to objectives, and what is wrong with it so far."""

    def __init__(self, path: Path) -> None:
        self.problems: list[str] = []
        self._path = path

    def objectives(self, root: yaml.Node | None) -> dict[str, Objective]:
        """By name, those that are sound."""
        found = {}
        for name, node in self._entries(root, "", tuple(KNOWN)):
            objective = self._objective(name, node)
            if objective is not None:
                found[name] = objective
        there = _names(root)
        for name in NEEDED:
            if name not in there:
                self._complain(root, name, f"expected this key ({KNOWN[name].meaning}), got nothing")
        return found

    def _objective(self, name: str, node: yaml.Node) -> Objective | None:
        bounded = KNOWN[name].bound_s is not None
        keys = ("bound", "share") if bounded else ("share",)
        said = dict(self._entries(node, name, keys))
        missing = (
            [key for key in keys if key not in _names(node)] if isinstance(node, yaml.MappingNode) else []
        )
        for key in missing:
            self._complain(node, f"{name}.{key}", f"expected this key ({_MEANING[key]}), got nothing")
        bound_s = self._bound_s(name, said["bound"]) if "bound" in said else None
        share = self._share(name, said["share"]) if "share" in said else None
        if share is None or (bounded and bound_s is None):
            return None
        return Objective(name, KNOWN[name].meaning, share=share, bound_s=bound_s)

    def _bound_s(self, name: str, node: yaml.Node) -> float | None:
        text = _text(node)
        if text is not None and _DURATION.fullmatch(text):
            bound_s = sum(Decimal(number) * _UNITS_S[unit] for number, unit in _TERM.findall(text))
            if 0 < bound_s <= _LONGEST_S:
                return float(bound_s)
        self._complain(node, f"{name}.bound", f"expected {_EXPECTED_BOUND}, got {_shown(node)}")
        return None

    def _share(self, name: str, node: yaml.Node) -> float | None:
        least = 0.0 if name == slo.GOODPUT.name else LEAST_SHARE
        text = _text(node)
        if text is not None and ((percent := _PERCENT.fullmatch(text)) or _RATIO.fullmatch(text)):
            share = float(Decimal(percent[1]) / 100 if percent else Decimal(text))
            if least < share < 1:
                return share
        # At 93 % or less the alert that pages cannot fire: a rule that never fires is worse than none.
        expected = f"a share such as 99% or 0.99, above {least * 100:.3g}% and below 100%"
        self._complain(node, f"{name}.share", f"expected {expected}, got {_shown(node)}")
        return None

    def _entries(
        self, node: yaml.Node | None, inside: str, known: tuple[str, ...]
    ) -> Iterator[tuple[str, yaml.Node]]:
        """Every key of a mapping that it may have, each once."""
        if not isinstance(node, yaml.MappingNode):
            self._complain(node, inside, f"expected a mapping of {', '.join(known)}, got {_shown(node)}")
            return
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            where = f"{inside}.{name}".removeprefix(".")
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                self._complain(
                    key, where, f"unknown key{hint}, expected one of {', '.join(known)}, got {_shown(value)}"
                )
            elif name in seen:
                self._complain(key, where, f"expected each key once, this is its second, got {_shown(value)}")
            else:
                seen.add(name)
                yield name, value

    def _complain(self, node: yaml.Node | None, key_path: str, complaint: str) -> None:
        line = 1 if node is None else node.start_mark.line + 1
        self.problems.append(f"{self._path}:{line}: {key_path or 'document'}: {complaint}")


_MEANING = {"bound": "a request is good at or below it", "share": "so many requests must be good"}


def _names(node: yaml.Node | None) -> set[str]:
    if not isinstance(node, yaml.MappingNode):
        return set()
    return {str(key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)}


def _text(node: yaml.Node) -> str | None:
    """A value as it was written: `0.99` is no float yet, so that nothing of it is lost."""
    return str(node.value).strip() if isinstance(node, yaml.ScalarNode) else None


def _shown(node: yaml.Node | None) -> str:
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        return "nothing"
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)[:80] if node.style is None else repr(node.value)[:80]
    return "a mapping" if isinstance(node, yaml.MappingNode) else "a list"
