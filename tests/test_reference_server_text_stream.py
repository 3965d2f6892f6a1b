"""Tokens to text: whole characters only, and never a part of a stop string."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_server.models.tokenizer import EOS, ByteTokenizer, chat_prompt
from reference_server.text_stream import TextStream


def sent(data: bytes, stops: list[str], cuts: list[int]) -> tuple[list[str], bool]:
    """The pieces sent when the bytes arrive cut at these places, and whether a stop string ended them."""
    stream = TextStream(stops)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [stream.push(data[a:b]) for a, b in pairwise(edges)]
    return [*pieces, stream.finish()], stream.stopped


cuts = st.lists(st.integers(0, 60), max_size=20)


@given(text=st.text(max_size=30), cuts=cuts)
def test_text_arrives_whole_however_its_bytes_are_cut(text: str, cuts: list[int]) -> None:
    pieces, stopped = sent(text.encode(errors="replace"), [], cuts)
    assert "".join(pieces) == text.encode(errors="replace").decode()
    assert not stopped


@given(data=st.binary(max_size=30), cuts=cuts)
def test_bytes_that_are_no_text_become_replacement_characters(data: bytes, cuts: list[int]) -> None:
    assert "".join(sent(data, [], cuts)[0]) == data.decode(errors="replace")


def test_no_character_is_sent_before_its_last_byte() -> None:
    stream = TextStream()
    assert [stream.push(bytes([byte])) for byte in "é€".encode()] == ["", "é", "", "", "€"]
    assert TextStream().push(b"\xe2\x82") == ""


stops = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)


@given(text=st.text("ab", max_size=24), stops=stops, cuts=cuts)
def test_text_ends_before_the_stop_string_that_is_complete_first(
    text: str, stops: list[str], cuts: list[int]
) -> None:
    pieces, stopped = sent(text.encode(), stops, cuts)
    ends = [end for end in range(len(text) + 1) if text[:end].endswith(tuple(stops))] if stops else []
    if not ends:
        assert ("".join(pieces), stopped) == (text, False)
        return
    head = text[: ends[0]]
    longest = max(len(stop) for stop in stops if head.endswith(stop))
    assert ("".join(pieces), stopped) == (head[: len(head) - longest], True)


@given(text=st.text("abc", max_size=24), stops=stops)
def test_nothing_is_held_back_that_cannot_begin_a_stop_string(text: str, stops: list[str]) -> None:
    stream = TextStream(stops)
    for end in range(1, len(text) + 1):
        stream.push(text[end - 1].encode())
        if stream.stopped:
            return
        held = stream._held
        assert text[:end].endswith(held)
        assert not held or any(stop.startswith(held) for stop in stops)


@pytest.mark.parametrize(
    ("pushed", "stop", "pieces"),
    [
        (["Hel", "lo END", " more"], "END", ["Hel", "lo ", ""]),
        (["a\n", "\nb"], "\n\n", ["a", ""]),
        (["EN", "X"], "END", ["", "ENX"]),
        (["€", "uro"], "€u", ["", ""]),
    ],
    ids=["within a token", "across tokens", "a false beginning", "beyond ASCII"],
)
def test_stop_strings_may_span_tokens(pushed: list[str], stop: str, pieces: list[str]) -> None:
    stream = TextStream([stop])
    assert [stream.push(text.encode()) for text in pushed] == pieces


@given(text=st.text(max_size=50))
def test_tokens_are_the_bytes_of_the_text(text: str) -> None:
    tokens = ByteTokenizer.encode(text)
    assert b"".join(ByteTokenizer.to_bytes(token) for token in tokens) == text.encode(errors="replace")


def test_specials_have_no_bytes() -> None:
    assert ByteTokenizer.to_bytes(EOS) == b""


def test_a_chat_becomes_one_line_a_turn_and_the_assistants_turn() -> None:
    turns = [("system", "Be brief."), ("user", "Hi")]
    assert chat_prompt(turns) == "system: Be brief.\nuser: Hi\nassistant: "
