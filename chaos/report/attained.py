"""The objectives in a report: which share of the requests of each phase met which, beside how many were to."""

from chaos.record.attained import Attained
from chaos.record.journal import Journal
from chaos.report.words import NOTHING, seconds, share

_MEANINGS = {
    "ttft": "first token within",
    "itl": "no gap between tokens above",
    "tpot": "time per token after the first within",
    "e2e": "whole answer within",
    "availability": "answered completely",
    "goodput": "good in every way",
}


def heads(journal: Journal) -> tuple[str, ...]:
    """Of the table: the objective, what is wanted, and each phase."""
    return ("objective", "wanted", *dict.fromkeys(one.phase for one in journal.attained))


def rows(journal: Journal) -> list[tuple[str, ...]]:
    """A row for each objective; what was missed says so."""
    by_name: dict[str, list[Attained]] = {}
    for one in journal.attained:
        by_name.setdefault(one.objective, []).append(one)
    return [
        (_name(each[0]), _wanted(each[0].wanted), *(_cell(one) for one in each)) for each in by_name.values()
    ]


def _name(one: Attained) -> str:
    bound = "" if one.bound_s is None else f" {seconds(one.bound_s)}"
    return f"{one.objective}: {_MEANINGS[one.objective]}{bound}"


def _wanted(wanted: float | None) -> str:
    """As it was written: 99.95 % is not rounded, and which reads like another objective."""
    return NOTHING if wanted is None else f"{wanted * 100:.6g} %"


def _cell(one: Attained) -> str:
    missed = one.attained is not None and one.wanted is not None and one.attained < one.wanted
    return f"{share(one.attained)}, missed" if missed else share(one.attained)
