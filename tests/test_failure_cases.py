"""The table of failure cases, held to the tests that there are."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.failure_cases import CASES

FOLDER = Path(__file__).parent


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((FOLDER / f"{file}.py").read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("number", CASES)
def test_each_case_is_shown_by_a_test_that_there_is_or_says_where_it_is_shown(number: int) -> None:
    case = CASES[number]
    assert bool(case.tests) != (case.elsewhere is not None)
    for test in case.tests:
        file, _, name = test.partition("::")
        assert name in names_in(file), test


def test_there_are_eighty_cases() -> None:
    assert set(CASES) <= {*range(1, 81)}
