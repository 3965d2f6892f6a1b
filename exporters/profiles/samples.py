"""The samples of an exposition, line by line: a line that is none costs itself, is counted, and nothing else is lost.

A native histogram is no sample here: nothing that asks an exposition has a use for its buckets. It is told by name.
Protobuf, in which Prometheus has most of those, is never asked for.

Each line is read by prometheus_client's own parser of the text format. Its time grows with the square of some lines
(many labels, many escaped quotes): a line has a limit, and with that all of it takes time in proportion.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_LONGEST_LINE = 65_536
_WITHIN_S = 30.0
_TYPE_LINE = re.compile(r'#\s+TYPE\s+(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))\s+(\S+)')
_NATIVE = re.compile(r'(?:([^\s"{}]++)\s*+)?+(?:\{(?!\s*+count:)[^{}]*+\})?+\s*+\{\s*+count:')
"""A sample of OpenMetrics whose value is a native histogram; its name may stand in quotes within the labels."""
_QUOTED_NAME = re.compile(r'\{\s*"((?:[^"\\]|\\.)*)"\s*[,}]')
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1f]")
_ESCAPED = re.compile(r"\\([\\n\"])")


class ExpositionError(ValueError):
    """The text is no exposition of metrics. Ends in the command line, exit code 2."""


@dataclass(frozen=True, slots=True)
class Exposition:
    """What was read of one exposition."""

    samples: Sequence[Sample]
    """Under the names that they have on the wire."""
    types: Mapping[str, str]
    """Of families, by the names that the lines beginning with `# TYPE` give them."""
    unread: int = 0
    """Lines that could be no sample."""
    first_unread: str = ""
    """What the first of them was."""
    native: Sequence[str] = ()
    """Families of native histograms, by name, each once: left out."""


def read_exposition(text: str, *, within_s: float = _WITHIN_S) -> Exposition:
    """The samples of an exposition, in Prometheus's or OpenMetrics' text format.

    Raises:
        ExpositionError: it has no sample, or reading it takes longer than `within_s`.
    """
    deadline_s = time.monotonic() + within_s
    samples: list[Sample] = []
    types: dict[str, str] = {}
    unread, first_unread, native = 0, "", dict[str, None]()
    # Not splitlines: that ends a line at U+2028 and its like too, which a label may have.
    for number, whole in enumerate(text.split("\n"), start=1):
        line = whole.strip()
        if time.monotonic() > deadline_s:
            raise ExpositionError(
                f"expected an exposition that is read within {within_s:g} s, got {number} lines"
            )
        if line.startswith("#"):
            if found := _TYPE_LINE.match(line, 0, _LONGEST_LINE):
                types[found[2] or _ESCAPED.sub(_character, found[1])] = found[3]
        elif line and (sample := _sample(line)) is not None:
            samples.append(sample)
        elif line and (name := _native(line)):
            native[name] = None
        elif line:
            unread += 1
            first_unread = (
                first_unread or f"line {number}: expected a sample of a metric, got {line[:80]!r:.80}"
            )
    if not samples:
        raise ExpositionError(_nothing(text, first_unread, [*native]))
    return Exposition(samples, types, unread, first_unread, tuple(native))


def _sample(line: str) -> Sample | None:
    """The sample of one line; None where it is none."""
    if len(line) > _LONGEST_LINE:
        return None
    try:
        families = [*text_string_to_metric_families(line)]
        sample = families[0].samples[0]
        # A bucket whose edge is no number says nothing.
        float(sample.labels["le"] if sample.name.endswith("_bucket") and "le" in sample.labels else 0)
    # Whatever a stranger sends: besides ValueError, numbers that are too large and names that are missing.
    except (ValueError, OverflowError, LookupError):
        return None
    return sample


def _native(line: str) -> str:
    """The name of the native histogram that is the value of this line; empty where it is none."""
    found = _NATIVE.match(line, 0, _LONGEST_LINE)
    if found is None:
        return ""
    quoted = None if found[1] else _QUOTED_NAME.match(line)
    return found[1] or (_ESCAPED.sub(_character, quoted[1]) if quoted else "")


def _nothing(text: str, first_unread: str, native: Sequence[str]) -> str:
    """Why there is no sample."""
    if _BINARY.search(text):
        return "expected an exposition of metrics in a text format, got binary data (protobuf is not read)"
    if native:
        return f"expected samples of metrics, got native histograms alone: {', '.join(native)}"
    return first_unread or "expected an exposition of metrics, got no sample"


def _character(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]
