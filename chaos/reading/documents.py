"""Strict reading of YAML: what is not understood is refused with file, line, key path, value and expectation.

Stricter than PyYAML's safe loader on purpose. A key written twice, a key or value that YAML 1.1 quietly turns
into something else (`on`, `017`, `1:30`), an empty value, a tag: each makes a file mean other than it says.
In a manifest alone (what has an `apiVersion`) `null` is as good as no key, as it is to an API server; it is noted.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from chaos.errors import InputError
from chaos.reading.text_file import read_text
from chaos.reading.yaml_nodes import FLOAT, INTEGER, MAX_DEPTH, MERGE, NULL, STRING, Dumper, Loader

_MAX_NODES = 100_000
_MAX_DIGITS = 1_000  # Python makes no number of more than 4300
_PLAIN_NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_PERMISSIONS = re.compile("0[0-7]{3}")
_QUOTED_OR_COMMENT = re.compile("['\"#]")
_ABSENT = object()

KeyPath: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file: where, what was expected there, and what was found."""

    key_path: KeyPath
    complaint: str
    """`expected ...`, without the value."""
    value: object = _ABSENT


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a value stands, and a scalar's text as written."""

    line: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """One mapping of one file, with the place of every value in it."""

    path: Path
    values: dict[str, Any]
    marks: Mapping[KeyPath, Mark]
    """Of the whole of what it was read from, where it is a part."""
    notes: tuple[str, ...] = ()
    """What stands there and was left aside, with its place."""
    origin: KeyPath = ()
    """Where it begins, where it is a part of another document."""
    spec_at: KeyPath = ("spec",)
    """Where its `spec` stands, from `origin`."""

    def refusal(self, problems: Iterable[Problem]) -> InputError:
        """The error that names every problem, one per line, in the order of the file."""
        inside = [replace(problem, key_path=self._in_file(problem.key_path)) for problem in problems]
        return _refusal(self.path, self.marks, inside)

    def said(self, problem: Problem) -> str:
        """One problem as a sentence, with file and line."""
        return str(self.refusal([problem]))

    def line(self, key_path: KeyPath) -> int:
        """The line of the file at which a value begins; of what holds it, where there is none."""
        return _line(self.marks, self._in_file(key_path))

    def without(self, key_path: KeyPath, note: str) -> "Document":
        """The same without one of its values, and a note in its place."""
        values = dict(self.values)
        inside: dict[str, Any] = values
        for key in key_path[:-1]:
            inside[str(key)] = inside = dict(inside[str(key)])
        del inside[str(key_path[-1])]
        place = self._in_file(key_path)
        line = f"{self.path}:{_line(self.marks, place)}: {dotted(place)}: {note}"
        return replace(self, values=values, notes=(*self.notes, line))

    def _in_file(self, key_path: KeyPath) -> KeyPath:
        if key_path[:1] == ("spec",):
            key_path = (*self.spec_at, *key_path[1:])
        return (*self.origin, *key_path)


def read_documents(path: Path) -> tuple[Document, ...]:
    """Every document of a YAML file; empty ones are dropped.

    Raises:
        InputError: naming every problem of the first bad document with line, key path and value.
    """
    text = read_text(path)
    try:
        loader = Loader(text)
        documents = []
        while loader.check_node():
            root = loader.get_node()
            if root is not None and root.tag != NULL:
                documents.append(_document(path, root, loader))
    except InputError as error:
        raise _template_error(path, text) or error from error
    except yaml.MarkedYAMLError as error:
        raise _template_error(path, text) or _syntax_error(path, error) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(
            f"{path}:{line}: expected printable text, got character {error.character:#x}"
        ) from error
    if not documents:
        raise InputError(f"{path}: expected a mapping of keys to values, got an empty file")
    return tuple(documents)


def read_document(path: Path) -> Document:
    """The one document of a YAML file.

    Raises:
        InputError: naming every problem of the file, or how many documents it holds.
    """
    documents = read_documents(path)
    if len(documents) > 1:
        raise InputError(
            f"{path}: expected one document, got {len(documents)}", hint="split the file at its `---`"
        )
    return documents[0]


def dump(values: Mapping[str, Any]) -> str:
    """YAML text that `read_document` reads back equal."""
    return yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)


def _document(path: Path, root: yaml.Node, loader: Loader) -> Document:
    survey = _Survey(is_manifest=_has_key(root, "apiVersion"))
    survey.visit(root, ())
    if not isinstance(root, yaml.MappingNode):
        survey.problems.append(Problem((), "expected a mapping of keys to values", _plain(root)))
    if survey.problems:
        raise _refusal(path, survey.marks, survey.problems)
    document = Document(path, loader.construct_document(root), survey.marks)
    notes = [
        f"{path}:{_line(survey.marks, where)}: {dotted(where)}: null, the same as no key"
        for where in survey.nulls
    ]
    return replace(document, values=_without_nulls(document.values), notes=tuple(notes))


def _has_key(root: yaml.Node, name: str) -> bool:
    return isinstance(root, yaml.MappingNode) and any(key.value == name for key, _ in root.value)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


@dataclass(slots=True)
class _Survey:
    """A walk over every value as a reader of the file sees it, aliases followed."""

    is_manifest: bool = False
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    nulls: list[KeyPath] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    visits: int = 0

    def visit(self, node: yaml.Node, key_path: KeyPath) -> None:
        self.visits += 1
        if self.visits > _MAX_NODES or len(key_path) > MAX_DEPTH:
            problem = "expected fewer values: aliases multiply or contain themselves here"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        self.marks.setdefault(key_path, Mark(node.start_mark.line + 1, _as_written(node)))
        if isinstance(node, yaml.MappingNode):
            self._visit_keys(node, key_path)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.visit(item, (*key_path, index))
        elif node.tag == NULL and self.is_manifest and key_path and isinstance(key_path[-1], str):
            self.nulls.append(key_path)
        elif node.tag == NULL:
            self.problems.append(Problem(key_path, "expected a value, or no key at all", None))
        elif node.tag in (INTEGER, FLOAT) and not self._is_plain(node.value, key_path):
            complaint = "expected a plain decimal number, or text in quotes"
            self.problems.append(Problem(key_path, complaint, node.value))

    def _is_plain(self, number: str, key_path: KeyPath) -> bool:
        """Whether nobody can read it as another number; permissions of files are octal to everybody."""
        if self.is_manifest and key_path[-1] in ("mode", "defaultMode") and _PERMISSIONS.fullmatch(number):
            return True
        return len(number) <= _MAX_DIGITS and _PLAIN_NUMBER.fullmatch(number) is not None

    def _visit_keys(self, node: yaml.MappingNode, key_path: KeyPath) -> None:
        seen: set[str] = set()
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            here = (*key_path, name)
            self.marks[here] = Mark(key.start_mark.line + 1, _as_written(value))
            if key.tag not in (STRING, MERGE):
                self.problems.append(
                    Problem(here, "expected a key that is text: put it in quotes", _plain(value))
                )
            elif name in seen:
                self.problems.append(
                    Problem(here, "expected each key once, this is its second", _plain(value))
                )
            seen.add(name)
            self.visit(value, here)


def _plain(node: yaml.Node) -> object:
    return dict(node.value) if isinstance(node, yaml.MappingNode) else node.value


def _as_written(node: yaml.Node) -> str | None:
    if not isinstance(node, yaml.ScalarNode):
        return None
    return node.value if node.style is None and node.value.isprintable() else repr(node.value)


def _template_error(path: Path, text: str) -> InputError | None:
    """That it is no YAML yet, where it looks like what Helm makes YAML of."""
    for number, line in enumerate(text.split("\n"), start=1):
        start = line.find("{{")
        end = line.find("}}", start)
        if 0 <= start < end and not _QUOTED_OR_COMMENT.search(line, 0, start):
            template = line[start : end + 2]
            return InputError(
                f"{path}:{number}: expected YAML, got a template: {_shown(template, template)}",
                hint="render it first, and give what comes out: helm template CHART > rendered.yaml",
            )
    return None


def _syntax_error(path: Path, error: yaml.MarkedYAMLError) -> InputError:
    mark = error.problem_mark or error.context_mark
    place = f"{path}:{mark.line + 1}" if mark else str(path)
    problem = str(error.problem or error.context)
    return InputError(f"{place}: {'expected spaces, got a tab' if repr(chr(9)) in problem else problem}")


def _refusal(path: Path, marks: Mapping[KeyPath, Mark], problems: Iterable[Problem]) -> InputError:
    ordered = sorted(problems, key=lambda problem: _line(marks, problem.key_path))
    lines = [f"{path}:{_line(marks, problem.key_path)}: {_sentence(marks, problem)}" for problem in ordered]
    return InputError("\n".join(lines))


def _line(marks: Mapping[KeyPath, Mark], key_path: KeyPath) -> int:
    while key_path not in marks:
        key_path = key_path[:-1]
    return marks[key_path].line


def _sentence(marks: Mapping[KeyPath, Mark], problem: Problem) -> str:
    mark = marks.get(problem.key_path)
    text = mark.text if mark else None
    got = "" if problem.value is _ABSENT else f", got {_shown(problem.value, text)}"
    return f"{dotted(problem.key_path) or 'document'}: {problem.complaint}{got}"


def dotted(key_path: Sequence[str | int]) -> str:
    """A key path as people write it: `spec.pods.inference[0]`, `labels['example.com/app']`."""
    parts = [
        f"[{key}]" if isinstance(key, int) else f".{key}" if re.fullmatch(r"[\w-]+", key) else f"[{key!r}]"
        for key in key_path
    ]
    return "".join(parts).removeprefix(".")


def _shown(value: object, text: str | None) -> str:
    if isinstance(value, Mapping | list):
        kind = "mapping" if isinstance(value, Mapping) else "list"
        return f"a {kind}" if value else f"an empty {kind}"
    if value is None:
        return "nothing"
    shown = repr(value) if text is None else text
    return shown if len(shown) <= 80 else shown[:77] + "..."
