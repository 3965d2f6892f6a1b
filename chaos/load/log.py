"""What the child process of a load said: its log, without the tables that Locust ends with."""

import re
from itertools import takewhile
from pathlib import Path

_TAIL_LINES = 15
_WORDS_AT_MOST = 300
_TABLE = re.compile(r"Type +Name ")
_ERROR = re.compile(r"/(ERROR|CRITICAL)/|^[\w.]*(Error|Exception|Exit)\b")


def tail(log: Path) -> str:
    """Its last lines."""
    return "\n".join(_told(log)[-_TAIL_LINES:])


def last_words(log: Path) -> str:
    """What it said of its end, in one line: its last error or exception, else whatever it said last."""
    told = _told(log)
    if not told:
        return "its log is empty"
    errors = [line for line in told if _ERROR.search(line)]
    return (errors or told)[-1].strip()[:_WORDS_AT_MOST]


def _told(log: Path) -> list[str]:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return [line for line in takewhile(lambda line: not _TABLE.match(line), lines) if line.strip()]
