"""One family of an engine as PromQL: selected in every spelling, in the schema's unit, with its labels and values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporters.profiles.profile import Series
from exporters.series.family import Kind


@dataclass(frozen=True, slots=True)
class Source:
    """One family that is a signal, or a part of one."""

    signal: str
    name: str
    """As exported, or a regular expression where releases spell it differently: `vllm[:_]x`."""
    kind: Kind
    series: Series
    labels: Mapping[str, str]
    """The schema's label to the exported one: `{"model": "model_name"}`."""
    edges: tuple[float, ...] = ()
    """Bucket edges in the exported unit; none where they are not known."""

    @property
    def edges_s(self) -> tuple[float, ...]:
        """Bucket edges after conversion."""
        return tuple(float(f"{edge * self.series.unit_factor:.17g}") for edge in self.edges)


def is_plain(name: str) -> bool:
    """Whether it is one name and no expression."""
    return re.fullmatch(r"[a-zA-Z_:][\w:]*", name) is not None


def spellings(edge: float) -> set[str]:
    """How a finite bucket edge may be written on `le`."""
    return {repr(float(edge)), str(int(edge)) if edge == int(edge) else repr(float(edge))}


def le_matcher(edge: float) -> str:
    """Matches a bucket edge in both spellings: as exported, and as Prometheus 3.x has it.

    Python's client writes `1.0`, Go's `1`; Prometheus 2.x keeps either, 3.x stores `1.0`.
    """
    spelled = sorted(spellings(edge))
    if len(spelled) == 1:
        return f'le="{spelled[0]}"'
    return f'le=~"{quoted("|".join(map(re.escape, spelled)))}"'


def quoted(pattern: str) -> str:
    """A regular expression inside a string of PromQL."""
    return pattern.replace("\\", "\\\\")


def selected(source: Source, part: str, matchers: Sequence[str] = ()) -> str:
    """A selector of the source, or of one `part` of it (`_bucket`); its own `where` goes with the matchers."""
    own = (f'{label}=~"{quoted(value)}"' for label, value in source.series.where.items())
    if is_plain(source.name):
        given = ", ".join([*own, *matchers])
        return f"{source.name}{part}" + (f"{{{given}}}" if given else "")
    expression = f"(?:{quoted(source.name)}){part}" if part else quoted(source.name)
    return f"{{{', '.join([f'__name__=~{chr(34)}{expression}{chr(34)}', *own, *matchers])}}}"


def normalised(
    source: Source, part: str, window: str, matchers: Sequence[str] = (), function: str = "rate"
) -> str:
    """The series, or a function of a window of them, in the schema's unit, with its labels and values."""
    expr = selected(source, part, matchers)
    if window:
        expr = f"{function}({expr}[{window}])"
    if source.series.unit_factor != 1 and part in ("", "_sum"):
        expr = f"{expr} * {source.series.unit_factor:.12g}"
    return _named(source, expr)


def added(parts: Sequence[str]) -> str:
    """Series of one signal, each with its own labels, summed where those are the same."""
    if len(parts) == 1:
        return parts[0]
    # `or` drops what has the same labels on its left: a label of its own keeps each part.
    marked = (f'label_replace({part}, "part", "{number}", "", "")' for number, part in enumerate(parts))
    return f"sum without (part) ({' or '.join(marked)})"


def _named(source: Source, expr: str) -> str:
    """The series with the schema's labels and values."""
    for wanted, exported in source.labels.items():
        values, read = source.series.values.get(wanted, {}), exported
        if values and wanted == exported:  # what is overwritten must still be there to be matched
            read = "exported"
            expr = f'label_replace({expr}, "{read}", "$1", "{exported}", "(.*)")'
        elif wanted != exported:
            expr = f'label_replace({expr}, "{wanted}", "$1", "{exported}", "(.+)")'
        for pattern, value in reversed(tuple(values.items())):  # the first that matches is applied last
            expr = f'label_replace({expr}, "{wanted}", "{value}", "{read}", "{quoted(pattern)}")'
    for label, value in source.series.fixed.items():
        expr = f'label_replace({expr}, "{label}", "{value}", "", "")'
    return expr
