"""docs/journal.md and docs/trials-record.md with their JSON Schemas, made from the types of the record.

python -m chaos.record [--check]
"""

import json
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from chaos.events import EventKind
from chaos.reading.meanings import meanings
from chaos.record.comparison import Comparison
from chaos.record.details import DETAILS
from chaos.record.entry import Entry
from chaos.record.journal import SCHEMA, Journal
from chaos.record.observed import KeptSeries
from chaos.record.trials import SERIES_SCHEMA, Series

PAGE = Path("docs/journal.md")
SCHEMA_FILE = Path("docs/journal.schema.json")
_HEAD = f"""\
# The record of a run

Written by `python -m chaos.record` from the types in `chaos/record/`.
[journal.schema.json](journal.schema.json) is the same as a JSON Schema.

`journal.json` (schema {SCHEMA}) is everything that was measured and decided. Numbers have six digits after the
point, +inf is the string `"inf"`. A key that may be null has `<key>_reason` beside it when it is.
`aftershock report` makes the journal again from the other files of a folder, those of earlier versions too.
What the words mean: [measurement.md](measurement.md).
"""
TRIALS_PAGE = Path("docs/trials-record.md")
TRIALS_SCHEMA_FILE = Path("docs/trials.schema.json")
_TRIALS_HEAD = f"""\
# The record of a series of trials, and of a comparison

Written by `python -m chaos.record` from the types in `chaos/record/`.
[trials.schema.json](trials.schema.json) is `trials.json` as a JSON Schema.

`trials.json` (schema {SERIES_SCHEMA}) lies in the folder of a series, from its beginning; `aftershock report` makes it
again from the records of the trials. Numbers, nulls and infinities are written as in [a journal](journal.md). What the
figures mean: [trials.md](trials.md).
"""
_FILES: dict[type[Entry], str] = {
    Journal: "journal.json",
    Series: "trials.json",
    Comparison: "what compare --json writes",
}
_EVENTS = """\
## events.jsonl

One line per event: `at_s` (seconds on the run clock), `kind`, and for some kinds `replica` and `detail`.
"""
_SERIES = """\
## series.json

By panel and legend:
"""


def schema(of: type[Entry] = Journal) -> str:
    """The JSON Schema of a journal, or of another record."""
    parts = list(_parts(of))
    for part in reversed(parts):
        for name, text in meanings(part).items():
            part.model_fields[name].description = text
        part.model_rebuild(force=True)
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **of.model_json_schema(by_alias=True),
    }
    return json.dumps(found, indent=2) + "\n"


def page() -> str:
    """The page: a table for each part of the journal, in the order in which they are met, and one for the events."""
    return (
        "\n\n".join([_HEAD.strip(), *_tables(Journal), _SERIES.strip(), _table(KeptSeries), _events()]) + "\n"
    )


def trials_page() -> str:
    """The same for the record of a series, and for that of a comparison."""
    return "\n\n".join([_TRIALS_HEAD.strip(), *_tables(Series), *_tables(Comparison)]) + "\n"


def _tables(record: type[Entry]) -> list[str]:
    return [f"## {_heading(part)}\n\n{_about(part)}\n\n{_table(part)}" for part in _parts(record)]


def main(*, check: bool) -> int:
    """Write all files, or only compare them; 1 when one is stale."""
    written = {
        PAGE: page(),
        SCHEMA_FILE: schema(),
        TRIALS_PAGE: trials_page(),
        TRIALS_SCHEMA_FILE: schema(Series),
    }
    stale = [path for path, text in written.items() if not _is(path, text)]
    if check:
        for path in stale:
            print(f"{path} is not what the types say: python -m chaos.record", file=sys.stderr)
        return 1 if stale else 0
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return 0


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _parts(part: type[Entry]) -> Iterator[type[Entry]]:
    seen: dict[type[Entry], None] = {}
    left = [part]
    while left:
        one = left.pop(0)
        if one in seen:
            continue
        seen[one] = None
        inner = [found for field in one.model_fields.values() for found in _entries(field.annotation)]
        left = [*inner, *left]
    yield from seen


def _entries(annotation: Any) -> Iterator[type[Entry]]:
    if isinstance(annotation, type) and issubclass(annotation, Entry):
        yield annotation
    for argument in get_args(annotation):
        yield from _entries(argument)


def _heading(part: type[Entry]) -> str:
    return _FILES.get(part, part.__name__)


def _about(part: type[Entry]) -> str:
    return (part.__doc__ or "").strip()


def _table(part: type[Entry]) -> str:
    rows = [
        f"| `{field.alias or name}` | {_kind(field)} | {_cell(meanings(part).get(name))} |"
        for name, field in part.model_fields.items()
        if not (name.endswith("_reason") and name.removesuffix("_reason") in _nullable(part))
    ]
    return "\n".join(["| key | is | meaning |", "|---|---|---|", *rows])


def _nullable(part: type[Entry]) -> set[str]:
    return {name for name, field in part.model_fields.items() if NoneType in get_args(field.annotation)}


def _kind(field: FieldInfo) -> str:
    missing = ", or missing" if not field.is_required() and field.default is None else ""
    return _name(field.annotation).replace(" or null", "" if missing else " or null") + missing


def _name(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Annotated, Union, UnionType):
        return " or ".join(_name(one) for one in (arguments[:1] if origin is Annotated else arguments))
    if origin is tuple:
        items = arguments[:-1] if arguments[-1] is Ellipsis else arguments
        return f"list of {' and '.join(dict.fromkeys(map(_name, items)))}"
    if origin is dict:
        return f"{_name(arguments[1])} by name"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, Entry):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    plain = {str: "text", int: "number", float: "number", bool: "true or false", NoneType: "null"}
    return plain.get(annotation, "anything")


def _events() -> str:
    rows = [f"| `{kind}` | {_cell(kind.about)} | {_fields(DETAILS[kind])} |" for kind in EventKind]
    return "\n".join([_EVENTS, "| kind | meaning | detail |", "|---|---|---|", *rows])


def _fields(detail: type[Entry]) -> str:
    return ", ".join(f"`{name}`" for name in detail.model_fields)


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", r"\|")
