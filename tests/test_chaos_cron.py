"""When something recurs: what Chaos Mesh's parser takes, what it refuses, and when that is."""

from datetime import datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.reading.cron import Calendar, Every, parse

MIDNIGHT = datetime(2024, 1, 1)  # noqa: DTZ001 - a Monday, of no time zone


def first(text: str, count: int = 3) -> list[str]:
    return [f"{moment:%a %d %b %H:%M:%S}" for moment in islice(parse(text).after(MIDNIGHT), count)]


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("* * * * *", ["Mon 01 Jan 00:01:00", "Mon 01 Jan 00:02:00", "Mon 01 Jan 00:03:00"]),
        ("*/20 * * * * *", ["Mon 01 Jan 00:00:20", "Mon 01 Jan 00:00:40", "Mon 01 Jan 00:01:00"]),
        ("40/15 * * * * ?", ["Mon 01 Jan 00:00:40", "Mon 01 Jan 00:00:55", "Mon 01 Jan 00:01:40"]),
        ("5 * * * *", ["Mon 01 Jan 00:05:00", "Mon 01 Jan 01:05:00", "Mon 01 Jan 02:05:00"]),
        ("0 9-17/4 * * *", ["Mon 01 Jan 09:00:00", "Mon 01 Jan 13:00:00", "Mon 01 Jan 17:00:00"]),
        ("0 0 * * Sun", ["Sun 07 Jan 00:00:00", "Sun 14 Jan 00:00:00", "Sun 21 Jan 00:00:00"]),
        ("0 0 31 * *", ["Wed 31 Jan 00:00:00", "Sun 31 Mar 00:00:00", "Fri 31 May 00:00:00"]),
        ("0 0 13 * fri", ["Fri 05 Jan 00:00:00", "Fri 12 Jan 00:00:00", "Sat 13 Jan 00:00:00"]),
        ("0 0 13 * *", ["Sat 13 Jan 00:00:00", "Tue 13 Feb 00:00:00", "Wed 13 Mar 00:00:00"]),
        ("0 0 */10 * */3", ["Wed 03 Jan 00:00:00", "Sat 06 Jan 00:00:00", "Sun 07 Jan 00:00:00"]),
        ("0 0 1 feb,APR *", ["Thu 01 Feb 00:00:00", "Mon 01 Apr 00:00:00", "Sat 01 Feb 00:00:00"]),
        ("@hourly", ["Mon 01 Jan 01:00:00", "Mon 01 Jan 02:00:00", "Mon 01 Jan 03:00:00"]),
        ("@weekly", ["Sun 07 Jan 00:00:00", "Sun 14 Jan 00:00:00", "Sun 21 Jan 00:00:00"]),
        (
            "CRON_TZ=Europe/Berlin 0 12 * * *",
            ["Mon 01 Jan 12:00:00", "Tue 02 Jan 12:00:00", "Wed 03 Jan 12:00:00"],
        ),
        ("@every 1m30s", ["Mon 01 Jan 00:01:30", "Mon 01 Jan 00:03:00", "Mon 01 Jan 00:04:30"]),
        ("@every 1500ms", ["Mon 01 Jan 00:00:01", "Mon 01 Jan 00:00:02", "Mon 01 Jan 00:00:03"]),
        ("@every 5ms", ["Mon 01 Jan 00:00:01", "Mon 01 Jan 00:00:02", "Mon 01 Jan 00:00:03"]),
        ("0 0 30 2 *", []),
    ],
)
def test_a_schedule_begins_when_cron_says(text: str, times: list[str]) -> None:
    assert first(text) == times


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("every minute", "2 fields"),
        ("* * * *", "4 fields"),
        ("* * * * * * *", "7 fields"),
        ("61 * * * *", "'61' is not within 0-59"),
        ("* 24 * * *", "'24' is not within 0-23"),
        ("* * 0 * *", "'0' is not within 1-31"),
        ("* * * 13 *", "'13' is not within 1-12"),
        ("* * * * 7", "'7' is not within 0-6"),
        ("30-10 * * * *", "'30-10' is not within 0-59"),
        ("*/0 * * * *", "is not within"),
        ("1-2-3 * * * *", "too many '-'"),
        ("1/2/3 * * * *", "too many '/'"),
        ("-1 * * * *", "not a whole number"),
        ("mon * * * *", "not a whole number"),
        ("* * * * monday", "not a whole number"),
        ("\u0663 * * * *", "not a whole number"),
        ("@often", "unknown word '@often'"),
        ("@every", "unknown word '@every'"),
        ("@every soon", "no digits before the unit"),
        ("@every 1d", "unknown unit 'd'"),
        ("TZ=Moon/Base 0 0 * * *", "unknown time zone 'Moon/Base'"),
        ("TZ=UTC", "a time zone and nothing else"),
    ],
)
def test_what_chaos_meshs_parser_refuses_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(text)


@given(st.text("0123456789*/,-? @TZ=every", max_size=20))
def test_no_text_is_read_otherwise_than_as_a_schedule_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except ValueError:
        return
    assert isinstance(found, Every | Calendar)


@given(
    st.sampled_from(["*", "*/7", "3", "10-40/5", "59"]),
    st.sampled_from(["*", "*/13", "0", "5,25"]),
    st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2030, 1, 1)),  # noqa: DTZ001
)
def test_times_come_in_order_after_where_they_are_asked_for(
    second: str, minute: str, start: datetime
) -> None:
    times = [start, *islice(parse(f"{second} {minute} * * * *").after(start), 20)]
    assert len(times) == 21
    assert all(later - earlier > timedelta(0) for earlier, later in pairwise(times))
