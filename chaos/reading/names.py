"""What Kubernetes accepts as a name, a label key and a label value, as pydantic types."""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = r"(?=.{1,253}(?:/|\Z))[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"
_PART = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"


def _fully(pattern: str, expected: str) -> Callable[[str], str]:
    matcher = re.compile(pattern)

    def check(text: str) -> str:
        if not matcher.fullmatch(text):
            raise PydanticCustomError("name", "{expected}", {"expected": expected})
        return text

    return check


DnsLabel = Annotated[
    str, AfterValidator(_fully(_LABEL, "a name of at most 63 lower-case letters, digits and inner '-'"))
]
"""RFC 1123 label: namespaces, and anything that becomes part of a replica's name."""
DnsSubdomain = Annotated[
    str,
    AfterValidator(_fully(_SUBDOMAIN, "a name of at most 253 lower-case letters, digits, inner '-' and '.'")),
]
"""RFC 1123 subdomain: names of pods, nodes and Chaos Mesh objects."""
NamePrefix = Annotated[
    str,
    AfterValidator(
        _fully(_SUBDOMAIN + "[-.]?", "what a name can begin with: lower-case letters, digits, '-' and '.'")
    ),
]
"""What a cluster makes a name of, by drawing the rest: often with a '-' at its end."""
LabelKey = Annotated[
    str, AfterValidator(_fully(rf"(?:{_SUBDOMAIN}/)?{_PART}", "a label key such as app or example.com/app"))
]
"""Qualified name: labels and annotations alike."""
LabelValue = Annotated[
    str,
    AfterValidator(
        _fully(rf"(?:{_PART})?", "a label value of at most 63 letters, digits, inner '-', '_', '.'")
    ),
]
"""What a label may be, the empty string included."""
is_name = re.compile(_SUBDOMAIN).fullmatch
"""Whether a text can be the name of most objects; None where not."""
is_label_key = re.compile(rf"(?:{_SUBDOMAIN}/)?{_PART}").fullmatch
"""Whether a text can be the key of a label; None where not."""
is_label_value = re.compile(rf"(?:{_PART})?").fullmatch
"""Whether a text can be the value of a label; None where not."""
is_namespace = re.compile(_LABEL).fullmatch
"""Whether a text can be the name of a namespace; None where not."""
PodReference = Annotated[str, AfterValidator(_fully(rf"{_LABEL}/{_SUBDOMAIN}", "a pod as NAMESPACE/NAME"))]
"""One pod of one namespace."""
