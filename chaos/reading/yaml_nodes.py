"""PyYAML's safe loader and dumper, as strict as files are to be read: no tags, no dates, no depth without end."""

import re
from typing import Any

import yaml

MAX_DEPTH = 50
_YAML = "tag:yaml.org,2002:"
STRING, MERGE, NULL = _YAML + "str", _YAML + "merge", _YAML + "null"
INTEGER, FLOAT = _YAML + "int", _YAML + "float"
_SURROGATE = re.compile("[\ud800-\udfff]")
_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+")


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader without tags and without deep nesting, whose dates stay text."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The node that begins here, unless it has a tag or lies too deep."""
        event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it bare
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(
                problem=f"expected no tag, got {event.tag}", problem_mark=event.start_mark
            )
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"expected at most {MAX_DEPTH} levels", problem_mark=event.start_mark
            )
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if isinstance(node, yaml.ScalarNode) and _SURROGATE.search(node.value):
            node.value = _whole(node)
        return node


def _whole(node: yaml.ScalarNode) -> str:
    """A text whose characters beyond the first 65,536 were written as JSON escapes them, in two halves each."""
    try:
        text: str = node.value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        problem = "expected whole characters, got the half of one"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from error
    return text


class Dumper(yaml.SafeDumper):
    """Writes what `Loader` reads back equal."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_YAML + "timestamp", _YAML + "value")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# PyYAML takes 1e3 for text; YAML 1.2 and every Kubernetes tool take it for a number.
Loader.add_implicit_resolver(FLOAT, _EXPONENT, list("-+0123456789"))
Dumper.add_implicit_resolver(FLOAT, _EXPONENT, list("-+0123456789"))
