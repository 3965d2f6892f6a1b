"""What an assertion, or a run, comes to: the three words of every record and report."""

from enum import StrEnum


class Verdict(StrEnum):
    """A word and what it means for whoever reads a record."""

    PASSED = "passed"
    DEVIATED = "deviated"
    """A weakness was found."""
    INCONCLUSIVE = "inconclusive"
    """It cannot be known."""
