"""Strict reading of YAML: what is not understood is refused with file, line, key path, value and expectation.

Stricter than PyYAML's safe loader on purpose. A key written twice, a key or value that YAML 1.1 quietly turns
into something else (`on`, `017`, `1:30`), an empty value, a tag: each makes a file mean other than it says.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from chaos.errors import InputError

MAX_BYTES = 1_000_000
_MAX_NODES = 100_000
_MAX_DEPTH = 50
_YAML = "tag:yaml.org,2002:"
_STRING, _MERGE, _NULL = _YAML + "str", _YAML + "merge", _YAML + "null"
_INTEGER, _FLOAT = _YAML + "int", _YAML + "float"
_PLAIN_NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")
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

    def refusal(self, problems: Iterable[Problem]) -> InputError:
        """The error that names every problem, one per line, in the order of the file."""
        return _refusal(self.path, self.marks, problems)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without tags and without deep nesting, whose dates stay text."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it bare
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(
                problem=f"expected no tag, got {event.tag}", problem_mark=event.start_mark
            )
        if self.depth > _MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"expected at most {_MAX_DEPTH} levels", problem_mark=event.start_mark
            )
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads back equal."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_YAML + "timestamp", _YAML + "value")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# PyYAML takes 1e3 for text; YAML 1.2 and every Kubernetes tool take it for a number.
_Loader.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+0123456789"))
_Dumper.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+0123456789"))


def read_documents(path: Path) -> tuple[Document, ...]:
    """Every document of a YAML file; empty ones are dropped.

    Raises:
        InputError: naming every problem of the first bad document with line, key path and value.
    """
    text = _text(path)
    try:
        loader = _Loader(text)
        documents = []
        while loader.check_node():
            root = loader.get_node()
            if root is not None and root.tag != _NULL:
                documents.append(_document(path, root, loader))
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(path, error) from error
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
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _text(path: Path) -> str:
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
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: expected UTF-8, got byte {content[error.start]:#04x}") from error


def _document(path: Path, root: yaml.Node, loader: _Loader) -> Document:
    survey = _Survey()
    survey.visit(root, ())
    if not isinstance(root, yaml.MappingNode):
        survey.problems.append(Problem((), "expected a mapping of keys to values", _plain(root)))
    if survey.problems:
        raise _refusal(path, survey.marks, survey.problems)
    return Document(path, loader.construct_document(root), survey.marks)


@dataclass(slots=True)
class _Survey:
    """A walk over every value as a reader of the file sees it, aliases followed."""

    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    visits: int = 0

    def visit(self, node: yaml.Node, key_path: KeyPath) -> None:
        self.visits += 1
        if self.visits > _MAX_NODES or len(key_path) > _MAX_DEPTH:
            problem = "expected fewer values: aliases multiply or contain themselves here"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        self.marks.setdefault(key_path, Mark(node.start_mark.line + 1, _as_written(node)))
        if isinstance(node, yaml.MappingNode):
            self._visit_keys(node, key_path)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.visit(item, (*key_path, index))
        elif node.tag == _NULL:
            self.problems.append(Problem(key_path, "expected a value, or no key at all", None))
        elif node.tag in (_INTEGER, _FLOAT) and not _PLAIN_NUMBER.fullmatch(node.value):
            complaint = "expected a plain decimal number, or text in quotes"
            self.problems.append(Problem(key_path, complaint, node.value))

    def _visit_keys(self, node: yaml.MappingNode, key_path: KeyPath) -> None:
        seen: set[str] = set()
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            here = (*key_path, name)
            self.marks[here] = Mark(key.start_mark.line + 1, _as_written(value))
            if key.tag not in (_STRING, _MERGE):
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
