"""A file as text: UTF-8 of a bounded size, and JSON in the form that is YAML too."""

import json
from pathlib import Path

from chaos.errors import InputError

MAX_BYTES = 1_000_000


def read_text(path: Path) -> str:
    """The text of a file; tabs of JSON, which YAML does not have between values, are blanks.

    Raises:
        InputError: it cannot be read, is too long, or no UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: expected a readable file: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: expected at most {MAX_BYTES} bytes, got more")
    if content.startswith(b"\xef\xbb\xbf"):
        raise InputError(f"{path}:1: expected UTF-8 without a byte order mark, got EF BB BF")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: expected UTF-8, got byte {content[error.start]:#04x}") from error
    return text.replace("\t", " ") if _is_json(text) else text


def _is_json(text: str) -> bool:
    """Whether tabs in it are blanks between values, as they may be in JSON and not in YAML."""
    if "\t" not in text or text.lstrip()[:1] != "{":
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
