"""GitHub-flavoured Markdown that shows every text as it is, on one line: names and reasons come from anywhere.

A backslash stops what Markdown reads; it does not stop what GitHub does to the text afterwards: formulas between
dollars, mentions, numbers of issues and emoji by name. Those look for their sign and its neighbours in one piece of
text, so that an element of its own around the sign makes it a sign again.
"""

import re
from collections.abc import Iterable, Sequence

_EMOJI = r"(?:100|1234|[+-]1|[a-z0-9_+-]*[a-z][a-z0-9_+-]*)"
_SIGN = re.compile(rf"(?P<github>[$@]|\#(?=\d)|:(?={_EMOJI}:))|(?P<markdown>[\\`*_\[\]<>|~#])|(?P<entity>&)")


def text(value: object) -> str:
    """Text that is shown as it is."""
    return _SIGN.sub(_literal, " ".join(str(value).split()))


def code(value: str) -> str:
    """A code span in a table cell: only a bar needs its backslash there, and a backtick a longer fence."""
    line = " ".join(value.split()).replace("|", r"\|")
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence, padding = "`" * (longest + 1), " " if longest or not line else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; nothing where there are no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *lines]) if lines else ""


def section(title: str, body: str) -> str:
    """A heading of the third order and what stands under it; nothing where that is empty."""
    return f"### {title}\n\n{body}" if body else ""


def _literal(sign: re.Match[str]) -> str:
    if sign["entity"]:
        return "&amp;"
    return f"<span>{sign[0]}</span>" if sign["github"] else f"\\{sign[0]}"
