"""Objectives of an experiment that stand elsewhere: in a file of their own, and as `slo.ttft` in its assertions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaos.errors import InputError
from chaos.reading.documents import Document, Problem
from chaos.reading.quantities import duration_text, percent_text
from exporters.slo import Objective
from exporters.slo_file import SloFileError, read_slo

_NAMED = re.compile(r"\bslo\.([A-Za-z_][A-Za-z0-9_]*)")


def objectives_of(path: Path) -> tuple[Objective, ...]:
    """The objectives of a file.

    Raises:
        InputError: naming file, line, key path, value and what was expected, for every problem.
    """
    try:
        return read_slo(path)
    except SloFileError as error:
        raise InputError(f"{error}") from error


def with_objectives(document: Document, given: Path | None) -> Document:
    """The experiment with `slo` spelled out, where that is a path, relative to it, or a file is `given` in its place.

    Raises:
        InputError: there is no such file, or it holds no objectives.
    """
    said = document.values.get("slo")
    if given is None and not isinstance(said, str):
        return document
    path = given if given is not None else document.path.parent / str(said)
    if given is None and not path.is_file():
        complaint = f"expected a mapping, or the path of a file of objectives; there is none at {path}"
        raise document.refusal([Problem(("slo",), complaint, said)])
    values = {**document.values, "slo": spelled_out(objectives_of(path))}
    # What stands in the experiment's file is not what is wrong now.
    marks = {
        place: mark for place, mark in document.marks.items() if place[:1] != ("slo",) or len(place) == 1
    }
    return replace(document, values=values, marks=marks)


def spelled_out(objectives: Sequence[Objective], **bounds_s: float) -> dict[str, Any]:
    """The same as a mapping of an experiment file; `bounds_s` by name come before theirs."""
    bounds_s = {each.name: each.bound_s for each in objectives if each.bound_s is not None} | bounds_s
    shares = {each.name: percent_text(each.share) for each in objectives}
    bounds = {name: duration_text(bound_s) for name, bound_s in bounds_s.items()}
    return {**bounds, **({"shares": shares} if shares else {})}


def filled_in(expression: str, objectives: Mapping[str, Objective]) -> str:
    """An assertion with the figure of an objective in place of each `slo.NAME`: a bound where it has one, else a share.

    Raises:
        InputError: there is no objective of that name.
    """

    def figure(found: re.Match[str]) -> str:
        objective = objectives.get(found[1])
        if objective is None:
            known = ", ".join(f"slo.{name}" for name in objectives)
            raise InputError(f"expected an objective of this experiment ({known}), got {found[0]}")
        return (
            percent_text(objective.share) if objective.bound_s is None else duration_text(objective.bound_s)
        )

    return _NAMED.sub(figure, expression)
