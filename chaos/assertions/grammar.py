"""The grammar of assertions: `term operator bound`, such as `p99(ttft, baseline) <= 250ms`.

The EBNF and every term are in docs/assertions.md. `evaluation.py` gives a parsed assertion its verdict.
"""

import difflib
import re
import sys
from dataclasses import dataclass, replace

from chaos.assertions.term import (
    EVERYBODY,
    LABELS,
    PHASE,
    QUANTILE,
    RELATIVE,
    Argument,
    Dimension,
    Only,
    Relative,
    Term,
)
from chaos.assertions.terms import OF_SAMPLES, TERMS
from chaos.errors import InputError
from chaos.reading import quantities

OPERATORS = ("<=", ">=", "==", "!=", "<", ">")
_EXPECTED_BOUND = {
    Dimension.DURATION: quantities.DURATION,
    Dimension.RATIO: quantities.RATIO,
    Dimension.COUNT: "a whole number",
    Dimension.RATE: "a rate such as 18/s",
    Dimension.NUMBER: "a number such as 12 or 0.9",
}
_SPACE = re.compile(r"\s*", re.ASCII)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_QUOTED = re.compile(r"'[^']+'|\"[^\"]+\"")
_OPERATOR = re.compile("|".join(OPERATORS))
_LABEL = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_DURATION = re.compile(rf"(?:{_NUMBER}\s*(?:ns|us|ms|s|m|h)\s*)+", re.ASCII)
_OF_BASELINE = re.compile(rf"({_NUMBER})\s*%\s*of\s+baseline", re.ASCII)
_BOUND = {
    Dimension.DURATION: _DURATION,
    # A bare 1 is refused, as in files: it could mean 1 % or all.
    Dimension.RATIO: re.compile(rf"{_NUMBER}\s*%|[0-9]+\.[0-9]+|0", re.ASCII),
    Dimension.COUNT: re.compile(r"[0-9]+"),
    Dimension.RATE: re.compile(rf"{_NUMBER}\s*/\s*s", re.ASCII),
    Dimension.NUMBER: re.compile(_NUMBER, re.ASCII),
}


@dataclass(frozen=True, slots=True)
class Assertion:
    """One claim about a run; `str` gives it in canonical spelling, which parses to the same."""

    term: Term
    operator: str
    bound: float
    """In seconds, per second, or a plain number."""
    bound_text: str
    """The bound in the unit of its author."""
    of_baseline: bool = False
    """Whether the bound is a share of what the same term is in the baseline."""

    @property
    def expression(self) -> str:
        """The canonical spelling."""
        return f"{self.term} {self.operator} {self.bound_text}"

    def __str__(self) -> str:
        return self.expression


def parse(text: str) -> Assertion:
    """Read one assertion.

    Raises:
        InputError: the column, what was expected there and what was found instead.
    """
    reader = _Reader(text)
    term = _term(reader)
    operator = reader.take(_OPERATOR, f"an operator ({_listed(OPERATORS)})")
    if share := _share_of_baseline(reader, term):
        return Assertion(term, operator, float(share) / 100, f"{share}% of baseline", of_baseline=True)
    bound, bound_text = _bound(reader, term.dimension)
    return Assertion(term, operator, bound, bound_text)


def _term(reader: "_Reader") -> Term:
    start = reader.skip_space()
    name = reader.take(_WORD, "a term such as recovery.service or p99(ttft, baseline)")
    kind = OF_SAMPLES if QUANTILE.fullmatch(name) else TERMS.get(name)
    if kind is None:
        quantile = "a quantile from p1 to p99.99" if re.match(r"p[0-9]", name) else "a term"
        raise reader.error(start, quantile, name, (*TERMS, "p50", "p90", "p95", "p99"))
    term = Term(name, kind)
    for position, argument in enumerate(kind.arguments):
        reader.take(re.compile("," if position else r"\("), "','" if position else f"'(' after {name}")
        term = _with_argument(reader, term, argument)
    if term.arguments:
        term = replace(term, only=_only(reader)) if term.of_requests else term
        reader.take(re.compile(r"\)"), "')'")
    return term


def _with_argument(reader: "_Reader", term: Term, argument: Argument) -> Term:
    """The term with one argument more, the next in the text."""
    start, stretch = reader.skip_space(), None
    if not argument.choices:
        return replace(term, arguments=(*term.arguments, reader.take(_QUOTED, argument.meaning)))
    words = (*argument.choices, *RELATIVE) if argument == PHASE else argument.choices
    expected = f"{argument.meaning} ({_listed(words)})"
    word = reader.take(_WORD, expected)
    if word not in words:
        raise reader.error(start, expected, word, words)
    if argument == PHASE and word in RELATIVE:
        stretch, word = _relative(reader, word)
    return replace(term, arguments=(*term.arguments, word), stretch=stretch)


def _only(reader: "_Reader") -> Only:
    """`, profile=chat, tenant=a`: both, either or none of them, in any order, each once."""
    found: dict[str, str] = {}
    while reader.comes(","):
        start, left = reader.skip_space(), tuple(label for label in LABELS if label not in found)
        label = reader.take(_WORD, f"{_listed(left)}=NAME" if left else "')'")
        if label not in left:
            raise reader.error(start, f"{_listed(left)}=NAME" if left else "')'", label, left)
        reader.take(re.compile("="), f"'=' after {label}")
        found[label] = reader.take(_LABEL, f"the name of a {label}")
    return Only(**found) if found else EVERYBODY


def _relative(reader: "_Reader", word: str) -> tuple[Relative, str]:
    """`(30s)`: the first 30 s; `(10s, 40s)`: from there to there."""
    reader.take(re.compile(r"\("), f"'(' after {word}")
    edges_s: list[float] = []
    texts: list[str] = []
    while not edges_s or (len(edges_s) == 1 and reader.comes(",")):
        start = reader.skip_space()
        text = "".join(reader.take(_DURATION, _EXPECTED_BOUND[Dimension.DURATION]).split())
        edges_s.append(quantities.go_duration_ns(text) / 1e9)
        texts.append(text)
        if len(edges_s) > 1 and edges_s[1] <= edges_s[0]:
            raise reader.error(start, f"later than {texts[0]}", text)
    reader.take(re.compile(r"\)"), "')'")
    from_s, to_s = (0.0, edges_s[0]) if len(edges_s) == 1 else (edges_s[0], edges_s[1])
    return Relative(word, from_s, to_s), f"{word}({', '.join(texts)})"


def _share_of_baseline(reader: "_Reader", term: Term) -> str | None:
    """The percentage of a bound such as `150% of baseline`; None where the bound is none."""
    match = _OF_BASELINE.fullmatch(reader.text[reader.skip_space() :].rstrip())
    if match is None:
        return None
    if not term.arguments or term.dimension is Dimension.COUNT or term.arguments[-1] == "baseline":
        raise reader.error(reader.at, f"a bound of its own: {term} has no baseline to be held to", match[0])
    return match[1]


def _bound(reader: "_Reader", dimension: Dimension) -> tuple[float, str]:
    start = reader.skip_space()
    written = reader.text[start:].rstrip()
    value = _value(written, dimension)
    if value is None:
        raise reader.error(start, _EXPECTED_BOUND[dimension], written or "the end")
    return value, "".join(written.split())


def _value(written: str, dimension: Dimension) -> float | None:
    """The number that a bound stands for; None when it is no such bound."""
    if not _BOUND[dimension].fullmatch(written):
        return None
    text = "".join(written.split())
    if dimension is not Dimension.DURATION:
        value = float(text.rstrip("%/s")) / (100 if text.endswith("%") else 1)
        return value if value <= (1 if dimension is Dimension.RATIO else sys.float_info.max) else None
    try:
        return quantities.go_duration_ns(text) / 1e9
    except ValueError:
        return None


class _Reader:
    """A place in a text, and errors that point at one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def skip_space(self) -> int:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def comes(self, character: str) -> bool:
        """Whether this is next; then it is taken."""
        there = self.text.startswith(character, self.skip_space())
        self.at += len(character) if there else 0
        return there

    def take(self, pattern: re.Pattern[str], expected: str) -> str:
        match = pattern.match(self.text, self.skip_space())
        if match is None:
            rest = self.text[self.at :].split()
            raise self.error(self.at, expected, rest[0] if rest else "the end")
        self.at = match.end()
        return match[0]

    def error(self, at: int, expected: str, found: str, choices: tuple[str, ...] = ()) -> InputError:
        similar = difflib.get_close_matches(found.lower()[:40], choices, n=1)
        advice = f" (did you mean {similar[0]}?)" if similar else ""
        return InputError(f"column {at + 1}: expected {expected}, not {found!r}{advice}")


def _listed(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]
