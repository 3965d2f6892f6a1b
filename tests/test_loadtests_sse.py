from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.sse import EventParser, ServerEvent

pieces = st.sampled_from(
    [b"data: x", b"event: y", b"id", b":", b" ", b"\r", b"\n", b"\n\n", b"\xef\xbb\xbf", b"\xc3\xa9"]
)
streams = st.lists(pieces, max_size=60).map(b"".join)


def parse(*chunks: bytes) -> list[ServerEvent]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"data: a\n\n", ["a"]),
        (b"data:a\n\n", ["a"]),
        (b"data:  a\n\n", [" a"]),
        (b"data: a\r\n\r\n", ["a"]),
        (b"data: a\r\r", ["a"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"data: a\r\ndata: b\r\n\r\n", ["a\nb"]),
        (b"data: a\n\ndata: b\n\n", ["a", "b"]),
        (b"data\n\ndata\ndata\n\ndata:", ["", "\n"]),
        (b": heartbeat\n\n", []),
        (b": heartbeat\ndata: a\n\n", ["a"]),
        (b"id: 1\nretry: 5\nnonsense: x\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", ["a"]),
        (b"data: a: b\n\n", ["a: b"]),
        (b"Data: a\n\n", []),
        (b"data: a\n", []),
        (b"data: \xff\n\n", ["\N{REPLACEMENT CHARACTER}"]),
        (b"data: a\x0bb\x0cc\xc2\x85d\n\n", ["a\x0bb\x0cc\x85d"]),
        (b"\n\n\n", []),
    ],
    ids=[
        "LF",
        "no space",
        "only one space is eaten",
        "CRLF",
        "CR",
        "several lines join",
        "several lines join, CRLF",
        "two events",
        "the two events of the standard's own example",
        "comment",
        "comment before data",
        "fields without data",
        "byte order mark",
        "byte order mark in the middle is part of a field name",
        "only the first colon splits",
        "field names are case-sensitive",
        "cut off by the end",
        "invalid UTF-8",
        "other separators are no line ends",
        "blank lines",
    ],
)
def test_data_is_what_the_standard_says(stream: bytes, data: list[str]) -> None:
    byte_by_byte = (stream[position : position + 1] for position in range(len(stream)))
    assert [event.data for event in parse(stream)] == data
    assert [event.data for event in parse(*byte_by_byte)] == data


def test_the_event_field_names_the_type_of_one_event_only() -> None:
    assert parse(b"event: error\ndata: a\n\ndata: b\n\n") == [ServerEvent("a", "error"), ServerEvent("b")]


@settings(deadline=None)
@given(streams, st.lists(st.integers(0, 200)))
def test_any_chunking_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    assert parse(*(stream[start:end] for start, end in pairwise(edges))) == parse(stream)
