import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.report import words


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (0.0, "0 s"),
        (0.0421, "42.1 ms"),
        (0.00001234, "0.0123 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (4.1, "4.1 s"),
        (15.0, "15 s"),
        (9.996, "10 s"),
        (1234.5, "1234 s"),
        (math.inf, "inf"),
        (None, "\N{EN DASH}"),
    ],
)
def test_durations_have_three_digits_and_the_unit_that_fits(figure: words.Figure, text: str) -> None:
    assert words.seconds(figure) == text


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.9999, "> 99.9 %"),
        (0.0001, "< 0.1 %"),
        (0.941, "94.1 %"),
        (0.94, "94 %"),
        (None, "\N{EN DASH}"),
    ],
)
def test_a_share_is_never_rounded_to_all_or_nothing(figure: words.Figure, text: str) -> None:
    assert words.share(figure) == text


@given(st.floats(min_value=1e-6, max_value=1e6))
def test_a_plain_number_reads_back_within_half_a_percent(value: float) -> None:
    text = words.plain(value)
    assert "e" not in text
    assert float(text) == pytest.approx(value, rel=0.005)


@pytest.mark.parametrize(
    ("dimension", "text"), [("duration", "500 ms"), ("ratio", "50 %"), ("rate", "0.5 /s"), ("count", "0.5")]
)
def test_a_measured_figure_has_the_unit_of_its_dimension(dimension: str, text: str) -> None:
    assert words.measured(0.5, dimension) == text
