"""What a run says of the machine it ran on, told apart from what it says of itself: tests share their cores."""

from collections.abc import Iterable


def beside_lag(reasons: Iterable[str]) -> list[str]:
    """The reasons that are no late load."""
    return [reason for reason in reasons if not reason.startswith("the generator lagged")]
