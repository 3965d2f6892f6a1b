"""Durations against the accept set of Go and an exact formula; ratios and counts against their accept sets."""

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from chaos.reading.quantities import (
    Duration,
    DurationOrZero,
    GoDuration,
    duration_text,
    go_atoi,
    go_duration_ns,
    ratio,
)

UNIT_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("+0", 0),
        ("0s", 0),
        ("30s", 30 * 10**9),
        ("+5s", 5 * 10**9),
        ("-5s", -5 * 10**9),
        ("5.s", 5 * 10**9),
        (".5s", 5 * 10**8),
        ("5.0s", 5 * 10**9),
        ("1.004s", 1_004 * 10**6),
        ("1.5h", 5_400 * 10**9),
        ("1m30s", 90 * 10**9),
        ("30s1m", 90 * 10**9),
        ("1s1s", 2 * 10**9),
        ("-2m3.4s", -123_400 * 10**6),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ("11us", 11_000),
        ("12\u00b5s", 12_000),
        ("12\u03bcs", 12_000),
        ("0.3333333333333333333h", 1_200 * 10**9 - 1),
        ("0.830103483285477580700h", 2_988_372_539_827),
        pytest.param("0." + "3" * 400 + "h", 1_200 * 10**9 - 1, id="400 decimals"),
        ("0.9999ns", 0),
        ("0.29ns0.99ns", 0),
        ("9007199254740993ns", 9_007_199_254_740_993),
        ("9223372036854775807ns", 2**63 - 1),
        ("9223372036s854ms775us807ns", 2**63 - 1),
        ("-9223372036854775808ns", -(2**63)),
        ("-2562047h47m16.854775808s", -(2**63)),
        ("0000000000000000000000000000001s", 10**9),
    ],
)
def test_duration_is_read_to_the_nanosecond_below(text: str, nanoseconds: int) -> None:
    assert go_duration_ns(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "-",
            "+",
            "s",
            ".",
            "-.",
            ".s",
            "+.s",
            "30",
            "-5",
            "1.5",
            "1d",
            "1w",
            "1y",
            "1S",
            "1M",
            "1min",
            "1sec",
        ),
        *(
            " 1s",
            "1s ",
            "1 s",
            "1s 1s",
            "1m,30s",
            "1m-30s",
            "--1s",
            "1..5s",
            "1.2.3s",
            "1e3s",
            "0x1s",
            "1_0s",
            "\u0661s",
            "∞",
        ),
        *("9223372036854775808ns", "-9223372036854775809ns", "9223372036854776us", "3000000h"),
        *(
            "9223372036854775807ns1ns",
            "99999999999999999999999s",
            pytest.param("1" * 5000 + "s", id="5000 digits"),
        ),
    ],
)
def test_duration_is_refused_as_in_go(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        go_duration_ns(text)


@st.composite
def terms(draw: st.DrawFn) -> tuple[str, int]:
    unit = draw(st.sampled_from(sorted(UNIT_NS)))
    whole, decimal = draw(st.integers(0, 10_000)), draw(st.text("0123456789", max_size=25))
    text = f"{whole}.{decimal}{unit}" if decimal else f"{whole}{unit}"
    return text, int((whole + Fraction(int(decimal or 0), 10 ** len(decimal))) * UNIT_NS[unit])


@given(sign=st.sampled_from(["", "+", "-"]), parts=st.lists(terms(), min_size=1, max_size=6))
def test_duration_is_the_sum_of_its_terms(sign: str, parts: list[tuple[str, int]]) -> None:
    expected = sum(amount for _, amount in parts) * (-1 if sign == "-" else 1)
    assert go_duration_ns(sign + "".join(text for text, _ in parts)) == expected


@given(st.text("0123456789.+-nuµmsh d", max_size=8))
def test_any_text_is_read_or_refused_but_never_crashes(text: str) -> None:
    with suppress(ValueError):
        assert -(2**63) <= go_duration_ns(text) < 2**63


@given(st.integers(0, 30 * 24 * 3600 * 10**6))
def test_written_duration_reads_back_as_the_same_seconds(microseconds: int) -> None:
    seconds = microseconds * 1000 / 1e9
    assert go_duration_ns(duration_text(seconds)) / 1e9 == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (90.0, "90s"),
        (1200.0, "1200s"),
        (0.0015, "1.5ms"),
        (2.000000001, "2.000000001s"),
        (0.25, "250ms"),
        (2.5, "2.5s"),
        (1e-6, "1us"),
        (1e-9, "1ns"),
    ],
)
def test_duration_is_written_in_its_largest_unit(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        pytest.param(
            Duration,
            ["1ns", "15s", "+1m30s"],
            ["0s", "0", "-5s", "", "30", "1d", 30, 1.5, True],
            id="positive",
        ),
        pytest.param(DurationOrZero, ["0", "0s", "15s"], ["-1ns", "", "30", 0], id="zero allowed"),
        pytest.param(
            GoDuration, ["", "-5s", "1m30s", "1.5h"], ["30", "1d", " "], id="as Chaos Mesh's webhook"
        ),
    ],
)
def test_duration_types_take_what_their_name_says(kind: type, good: list[object], bad: list[object]) -> None:
    adapter = TypeAdapter[object](kind)
    for value in good:
        adapter.validate_python(value)
    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(value, strict=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("95%", 0.95), ("99.9%", 0.999), ("0%", 0.0), ("100%", 1.0), (0.95, 0.95), (1.0, 1.0)],
)
def test_ratio_is_a_percentage_or_a_fraction(value: object, expected: float) -> None:
    assert ratio(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "95",
        "101%",
        "-1%",
        "95 %",
        " 95%",
        "95%%",
        "%",
        ".5%",
        "1e1%",
        "\u0665%",
        "0.95",
        1,
        0,
        95,
        1.5,
        -0.1,
        True,
        None,
    ],
)
def test_ratio_refuses_what_could_be_misread(value: object) -> None:
    with pytest.raises(ValueError, match="a ratio such as"):
        ratio(value)


@given(st.integers(0, 100_000))
def test_percentage_is_the_nearest_float(thousandths: int) -> None:
    text = f"{thousandths // 1000}.{thousandths % 1000:03d}%"
    assert ratio(text) == float(Fraction(thousandths, 100_000))


@pytest.mark.parametrize(
    ("text", "number"), [("3", 3), ("+3", 3), ("-1", -1), ("007", 7), (str(2**63 - 1), 2**63 - 1)]
)
def test_count_reads_as_in_go(text: str, number: int) -> None:
    assert go_atoi(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 30",
        "30 ",
        "30%",
        "30.5",
        "3_0",
        "0x1e",
        "1e1",
        "\u0663",
        "--3",
        "+",
        str(2**63),
        pytest.param("9" * 5000, id="5000 digits"),
    ],
)
def test_count_is_refused_as_in_go(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        go_atoi(text)
