"""A P99 of few requests is marked wherever one is shown, in tables and pictures: it is the slowest of them."""

from chaos.measuring.quantiles import needed_for_interval
from chaos.record.journal import Journal
from chaos.report.words import seconds

WEAK = " *"
"""Behind a figure that rests on too few requests."""
FEW = f"fewer than the {needed_for_interval(99)} requests that bound a P99"


SAID = f"{WEAK.strip()} of {FEW}: one of the slowest, no more than that"
"""What the mark means."""
DRAWN = f"Hollow: a P99 of {FEW}, so one of the slowest, no more than that."
"""What it means in a picture, where a hollow dot is the mark."""


def p99(value_s: float | None, requests: int) -> str:
    """A P99, with a mark where it rests on fewer requests than bound one."""
    return f"{seconds(value_s)}{WEAK if is_weak(value_s, requests) else ''}"


def is_weak(value_s: float | None, requests: int) -> bool:
    """Whether so many requests bound no P99."""
    return value_s is not None and requests < needed_for_interval(99)


def note(journal: Journal) -> str:
    """What the mark means, where one of the phases or parts has it; else empty."""
    counted = [(phase.ttft_p99_s, phase.n) for phase in journal.phases]
    counted += [(phase.e2e_p99_s, phase.n) for phase in journal.phases]
    counted += [(part.ttft_p99_s, part.n) for part in journal.parts or ()]
    marked = any(is_weak(*one) for one in counted)
    return SAID if marked else ""
