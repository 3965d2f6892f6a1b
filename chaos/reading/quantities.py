"""Durations, ratios and counts as people write them in files: `1m30s`, `95%`, `"30"`.

Durations follow Go, because Chaos Mesh manifests do: one grammar serves manifests and experiments alike.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator
from pydantic_core import PydanticCustomError

# Not durationpy: it takes 1d, 1m-30s, 1s 1s and 3000000h, which Go and so Chaos Mesh refuse.
_UNITS_NS = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "\N{MICRO SIGN}s": 1_000,
    "\N{GREEK SMALL LETTER MU}s": 1_000,
    "ns": 1,
}
_TERM = re.compile(r"(?P<whole>[0-9]*)(?P<fraction>\.[0-9]*)?(?P<unit>[^.0-9]+)")
_PERCENT = re.compile(r"[0-9]+(\.[0-9]+)?%")
_CAPACITY_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*% of capacity")
_PLAIN = re.compile(r"[0-9]+(\.[0-9]+)?")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[-+]?[0-9]+)?|inf(inity)?)|nan", re.IGNORECASE)
_HEX_FLOAT = re.compile(r"[-+]?0x([0-9a-f]+(\.[0-9a-f]*)?|\.[0-9a-f]+)p[-+]?[0-9]+", re.ASCII | re.IGNORECASE)
_FLOAT32_MAX = float.fromhex("0x1.ffffffp127")
"""What is rounded to more than the largest number of 32 bits is out of their range from here on."""
_INT64_MAX = 2**63 - 1
DURATION = "a duration such as 250ms, 15s or 1m30s"
RATIO = "a ratio such as 95% or 0.95"
RATE = "a number above 0, or a share up to 100% such as 60% of capacity"


@dataclass(frozen=True, slots=True)
class CapacityShare:
    """A rate that becomes a number once it is known what the cluster can carry: `60% of capacity`."""

    percent: float
    """Above 0, at most 100."""

    def __str__(self) -> str:
        return f"{self.percent:g}% of capacity"


def go_duration_ns(text: str) -> int:
    """Nanoseconds of a Go duration: takes what Go's `time.ParseDuration` takes, and cuts each term to a nanosecond.

    Raises:
        ValueError: saying what is wrong with the text.
    """
    unsigned = text[1:] if text[:1] in ("-", "+") else text
    if unsigned == "0":
        return 0
    if not unsigned:
        raise ValueError("empty duration")
    total_ns, position = 0, 0
    while position < len(unsigned):
        term = _TERM.match(unsigned, position)
        if term is None:
            raise ValueError("a number without a unit")
        total_ns += _term_ns(term["whole"], (term["fraction"] or "")[1:], term["unit"])
        position = term.end()
    negative = text[0] == "-"
    if total_ns > _INT64_MAX + negative:
        raise ValueError("longer than 2**63 ns")
    return -total_ns if negative else total_ns


def _term_ns(whole: str, fraction: str, unit: str) -> int:
    if not whole and not fraction:
        raise ValueError("no digits before the unit")
    if unit not in _UNITS_NS:
        raise ValueError(f"unknown unit {unit!r}, known are ns, us, ms, s, m, h")
    return int(Fraction(f"{whole or 0}.{fraction or 0}") * _UNITS_NS[unit])


def duration_text(duration_s: float) -> str:
    """The duration in its largest unit, seconds at most, to the nanosecond: 90s, 2.5s, 250ms."""
    duration_ns = round(duration_s * 1e9)
    unit = next((unit for unit in ("s", "ms", "us") if duration_ns >= _UNITS_NS[unit]), "ns")
    return f"{(Decimal(duration_ns) / _UNITS_NS[unit]).normalize():f}{unit}" if duration_ns else "0s"


def go_atoi(text: str) -> int:
    """The integer of a string, with the accept set of Go's `strconv.Atoi`: a sign and ASCII digits, 64 bits.

    Raises:
        ValueError: it is not such an integer; Python's own `int` would take spaces, `1_0` and other digits.
    """
    if not _INTEGER.fullmatch(text) or not -_INT64_MAX - 1 <= int(text) <= _INT64_MAX:
        raise ValueError(f"not a whole number: {text!r}")
    return int(text)


def go_float32(text: str) -> float:
    """The number of a string, with the accept set of Go's `strconv.ParseFloat` for 32 bits.

    Raises:
        ValueError: it is no such number; Python's own `float` would take spaces, `1_0` and other digits.
    """
    if _FLOAT.fullmatch(text):
        number = float(text)
    elif _HEX_FLOAT.fullmatch(text):
        number = float.fromhex(text)
    else:
        raise ValueError(f"not a number: {text!r}")
    if _FLOAT32_MAX <= abs(number) < float("inf"):
        raise ValueError(f"out of range: {text!r}")
    return number


def ratio(value: object) -> float:
    """The ratio 0..1 of `95%` or 0.95; a bare whole number is refused, because 1 could mean 1 % or all.

    Raises:
        ValueError: it is neither, or lies outside 0..1.
    """
    if isinstance(value, str) and _PERCENT.fullmatch(value):
        value = float(Decimal(value[:-1]) / 100)
    if not isinstance(value, float) or not 0 <= value <= 1:
        raise ValueError(f"not {RATIO}: {value!r}")
    return value


def seconds_of(text: str) -> float:
    """The seconds of a duration above zero, as an option has it.

    Raises:
        ValueError: saying what was expected.
    """
    try:
        value_s = go_duration_ns(text) / 1e9
    except ValueError as error:
        raise ValueError(f"expected {DURATION}, got {text!r} ({error})") from error
    if value_s <= 0:
        raise ValueError(f"expected {DURATION}, above zero, got {text!r}")
    return value_s


def load_rate(text: str) -> float | CapacityShare:
    """The rate of an option: `20`, or `60% of capacity`.

    Raises:
        ValueError: saying what was expected.
    """
    try:
        return _rate(float(text) if _PLAIN.fullmatch(text) else text)
    except PydanticCustomError as error:
        raise ValueError(f"expected {RATE}, got {text!r}") from error


def _seconds(value: object) -> float:
    if not isinstance(value, str):
        raise PydanticCustomError("duration", DURATION)
    try:
        return go_duration_ns(value) / 1e9
    except ValueError as error:
        raise PydanticCustomError("duration", DURATION + " ({reason})", {"reason": str(error)}) from error


def positive_seconds(value: object) -> float:
    """The seconds of a duration as a file has it, above zero; raises what pydantic makes a complaint of."""
    value_s = _seconds(value)
    if value_s <= 0:
        raise PydanticCustomError("duration", DURATION + ", above zero")
    return value_s


def not_negative_seconds(value: object) -> float:
    """The seconds of a duration as a file has it, or of 0s; raises what pydantic makes a complaint of."""
    return _not_negative(_seconds(value))


def _not_negative(value_s: float) -> float:
    if value_s < 0:
        raise PydanticCustomError("duration", DURATION + ", or 0s")
    return value_s


def _ratio(value: object) -> float:
    try:
        return ratio(value)
    except ValueError as error:
        raise PydanticCustomError("ratio", RATIO) from error


def _rate(value: object) -> float | CapacityShare:
    if isinstance(value, CapacityShare):
        return value
    if isinstance(value, str) and (share := _CAPACITY_SHARE.fullmatch(value)) and 0 < float(share[1]) <= 100:
        return CapacityShare(float(share[1]))
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf"):
        return float(value)
    raise PydanticCustomError("rate", RATE)


def percent_text(value: float) -> str:
    """The ratio as a percentage, without a digit too many: 99.9%."""
    return f"{(Decimal(str(value)) * 100).normalize():f}%"


def _go_duration(text: str) -> str:
    # Chaos Mesh's webhook lets the empty string pass; it never ends a fault.
    if text:
        _seconds(text)
    return text


def _duration_text(text: str) -> str:
    _seconds(text)
    return text


def _float_text(text: str) -> str:
    try:
        go_float32(text)
    except ValueError as error:
        raise PydanticCustomError("number", "a number as text, such as '25'") from error
    return text


_as_text = PlainSerializer(duration_text)
Duration = Annotated[float, BeforeValidator(positive_seconds), _as_text]
"""Seconds above zero, written as a duration."""
DurationOrZero = Annotated[float, BeforeValidator(_seconds), AfterValidator(_not_negative), _as_text]
"""Seconds, zero included, written as a duration."""
GoDuration = Annotated[str, AfterValidator(_go_duration)]
"""A duration as Chaos Mesh's webhook takes it: signed, or empty."""
DurationText = Annotated[str, AfterValidator(_duration_text)]
"""A duration as Go reads it: signed, and never empty."""
FloatText = Annotated[str, AfterValidator(_float_text)]
"""A number as Chaos Mesh's webhook takes it, which looks at no bounds."""
Ratio = Annotated[float, BeforeValidator(_ratio)]
"""0..1, written as `95%` or 0.95."""
Percent = Annotated[float, BeforeValidator(_ratio), PlainSerializer(percent_text)]
"""0..1, and a percentage again where it is written."""
LoadRate = Annotated[
    float | CapacityShare,
    PlainValidator(_rate),
    PlainSerializer(lambda rate: str(rate) if isinstance(rate, CapacityShare) else rate),
]
"""Requests per second, or a share of what the cluster turns out to carry."""
