"""A PromQL query as a tree, read by `promql-parser` (Prometheus' own grammar), and what the lint rules ask of one.

Grafana's variables are no PromQL: each is bound to a window that nobody would write, or to a number, before.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

import promql_parser
from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatchOp,
    MatrixSelector,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

Operation: TypeAlias = Call | AggregateExpr
"""What is done to series by name: a function or an aggregation."""

_VARIABLE = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|(?P<window>\[\s*)?(?P<name>\$\w+)')
_FIRST_S = 1_000_000_007
_OPERATORS = ((MatchOp.Equal, "="), (MatchOp.NotEqual, "!="), (MatchOp.Re, "=~"), (MatchOp.NotRe, "!~"))


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
class Query:
    """The tree, and the variables that stand for windows in it."""

    tree: Expr
    windows: dict[float, str]
    """By the seconds that each is bound to."""

    def selectors(self, within: Expr | None = None) -> Iterator[tuple[Selector, tuple[Operation, ...]]]:
        """Every selector, of the query or of a part of it, with what is applied to it, outermost first."""
        yield from self._selectors(self.tree if within is None else within, ())

    def _selectors(
        self, node: Expr, around: tuple[Operation, ...]
    ) -> Iterator[tuple[Selector, tuple[Operation, ...]]]:
        match node:
            case VectorSelector():
                yield self._selector(node, None), around
            case MatrixSelector():
                yield self._selector(node.vector_selector, node.range.total_seconds()), around
            case _:
                beneath = (*around, node) if isinstance(node, Call | AggregateExpr) else around
                for child in children(node):
                    yield from self._selectors(child, beneath)

    def _selector(self, node: VectorSelector, window_s: float | None) -> Selector:
        matchers = [(each.name, _operator(each.op), each.value) for each in node.matchers.matchers]
        named = next((value for label, _, value in matchers if label == "__name__"), node.name or "")
        window = None if window_s is None else self.windows.get(window_s, window_s)
        return Selector(named, tuple(one for one in matchers if one[0] != "__name__"), window)


def parse(text: str) -> Query:
    """The query as a tree.

    Raises:
        ValueError: it is none.
    """
    windows: dict[float, str] = {}
    seconds = count(_FIRST_S)

    def bound(found: re.Match[str]) -> str:
        if found["name"] is None:
            return found.group()
        if found["window"] is None:
            return "1"
        windows[float(at := next(seconds))] = found["name"]
        return f"[{at}s"

    try:
        return Query(promql_parser.parse(_VARIABLE.sub(bound, text)), windows)
    except ValueError as error:
        raise ValueError(f"expected PromQL, got {text!r}: {error}") from error


def nodes(tree: Expr) -> Iterator[Expr]:
    """The tree and everything inside it."""
    yield tree
    for child in children(tree):
        yield from nodes(child)


def children(node: Expr) -> tuple[Expr, ...]:
    """What stands directly inside; nothing in selectors, numbers and strings."""
    match node:
        case BinaryExpr():
            return (node.lhs, node.rhs)
        case Call():
            return tuple(node.args)
        case AggregateExpr():
            return (node.expr, *([node.param] if isinstance(node.param, Expr) else []))
        case ParenExpr() | UnaryExpr() | SubqueryExpr():
            return (node.expr,)
    return ()


def _operator(op: MatchOp) -> str:
    return next(text for known, text in _OPERATORS if known == op)  # they compare, and cannot be hashed


def name_of(operation: Operation) -> str:
    """Of a function or an aggregation."""
    return operation.func.name if isinstance(operation, Call) else str(operation.op)


def grouping_labels(operation: Operation) -> frozenset[str] | None:
    """The labels of an aggregation's `by`; None where there is none."""
    if (
        isinstance(operation, Call)
        or operation.modifier is None
        or operation.modifier.type != AggModifierType.By
    ):
        return None
    return frozenset(operation.modifier.labels)


def operator_of(node: Expr) -> str:
    """Between two sides, such as `/`; empty for anything else."""
    return str(node.op) if isinstance(node, BinaryExpr) else ""
