"""The shape of a PromQL query: its selectors, the calls around them, and what stands beside an operator.

Reads queries that Prometheus itself accepts (promtool sees to that); precedence is left out, lint rules need none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s+ | (?P<variable>\$\w+)
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*') | (?P<number>[\d.][\w.]*(?:[eE][+-]?\d+)?)
    | (?P<name>[a-zA-Z_:][\w:]*) | (?P<operator>[=!]~|[=!<>]=|[-+*/%^<>=,(){}\[\]@])""",
    re.VERBOSE,
)
_BINARY = frozenset(
    {"+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "and", "or", "unless", "atan2"}
)
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}


@dataclass(frozen=True, slots=True)
class Selector:
    """Series by name and labels, with the window in seconds where there is one."""

    name: str
    """Or the expression that it must match, where `__name__` is matched."""
    matchers: tuple[tuple[str, str, str], ...] = ()
    """Label, operator, value."""
    window: float | str | None = None
    """Seconds, or the variable that stands for them."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an aggregation; a pair of parentheses has no name."""

    name: str
    arguments: tuple["Query", ...]
    keeps: frozenset[str] | None = None
    """Labels of an aggregation's `by`; None where there is none."""


@dataclass(frozen=True, slots=True)
class Query:
    """Operands with the operators between them."""

    operands: tuple[Selector | Call, ...]
    """Numbers and strings are calls without a name and arguments."""
    operators: tuple[str, ...] = field(default=())


def parse(text: str) -> Query:
    """The query's shape.

    Raises:
        ValueError: not a query that this reader knows.
    """
    reader = _Reader(_tokens(text))
    query = reader.query()
    if reader.here:
        raise ValueError(f"unexpected {reader.here!r} in {text!r}")
    return query


def walk(query: Query, around: tuple[Call, ...] = ()) -> Iterator[tuple[Selector, tuple[Call, ...]]]:
    """Every selector, with the calls around it, outermost first."""
    for operand in query.operands:
        if isinstance(operand, Selector):
            yield operand, around
        else:
            for argument in operand.arguments:
                yield from walk(argument, (*around, operand))


def parts(query: Query) -> Iterator[Query]:
    """The query and every query inside it."""
    yield query
    for operand in query.operands:
        if isinstance(operand, Call):
            for argument in operand.arguments:
                yield from parts(argument)


def selectors(operand: Selector | Call) -> list[Selector]:
    """The selectors of one operand."""
    return [selector for selector, _ in walk(Query((operand,)))]


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"unexpected {text[at]!r} in {text!r}")
        if match.group().strip():
            tokens.append(match.group())
        at = match.end()
    return tokens


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def here(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.here
        if not token or (wanted and token != wanted):
            raise ValueError(f"expected {wanted or 'more'}, not {token or 'the end'}")
        self._at += 1
        return token

    def query(self) -> Query:
        operands, operators = [self._operand()], []
        while self.here in _BINARY:
            operators.append(self.take())
            while self.here in _GROUPING or self.here == "bool":
                if self.take() != "bool" and self.here == "(":
                    self._labels()
            operands.append(self._operand())
        return Query(tuple(operands), tuple(operators))

    def _operand(self) -> Selector | Call:
        while self.here in ("-", "+"):
            self.take()
        word = self.here
        if word == "(":
            return self._suffixed(Call("", self._arguments()))
        if word[:1] in "\"'" or word[:1].isdigit() or word[:1] == ".":
            self.take()
            return Call("", ())
        name = "" if word == "{" else self.take()
        if name and (self.here == "(" or self.here in ("by", "without")):
            return self._suffixed(self._call(name))
        matchers = self._matchers() if self.here == "{" else ()
        named = next((value for label, _, value in matchers if label == "__name__"), name)
        return self._suffixed(Selector(named, tuple(one for one in matchers if one[0] != "__name__")))

    def _call(self, name: str) -> Call:
        keeps = self._grouping()
        arguments = self._arguments()
        return Call(name, arguments, self._grouping() if keeps is None else keeps)

    def _grouping(self) -> frozenset[str] | None:
        if self.here not in ("by", "without"):
            return None
        keeps = self.take() == "by"
        labels = self._labels()
        return labels if keeps else None

    def _labels(self) -> frozenset[str]:
        self.take("(")
        labels = set()
        while self.here != ")":
            label = self.take()
            if label != ",":
                labels.add(label)
        self.take(")")
        return frozenset(labels)

    def _arguments(self) -> tuple[Query, ...]:
        self.take("(")
        arguments = []
        while self.here != ")":
            arguments.append(self.query())
            if self.here == ",":
                self.take()
        self.take(")")
        return tuple(arguments)

    def _matchers(self) -> tuple[tuple[str, str, str], ...]:
        self.take("{")
        found = []
        while self.here != "}":
            label, operator, value = self.take(), self.take(), self.take()
            found.append((label, operator, re.sub(r"\\(.)", r"\1", value[1:-1])))
            if self.here == ",":
                self.take()
        self.take("}")
        return tuple(found)

    def _suffixed(self, operand: Selector | Call) -> Selector | Call:
        """With a window, a subquery's step, an offset or a fixed time behind it."""
        while self.here in ("[", "offset", "@"):
            if self.take() != "[":
                while self.here in ("-", "+"):
                    self.take()
                self.take()
                continue
            window = self.take()
            while self.here != "]":
                self.take()
            self.take("]")
            if isinstance(operand, Selector):
                operand = Selector(
                    operand.name, operand.matchers, window if window[0] == "$" else _seconds(window)
                )
        return operand


def _seconds(duration: str) -> float:
    return sum(float(count) * _UNIT_S[unit] for count, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))
