"""What failures have in common is in journal and reports: the server's words, and the age at which they end."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chaos.measuring.columns import columns, joined, unordered
from chaos.measuring.failures import CommonAge, Refusal, common_age, refusals
from loadtests.refusals import shown, words_of
from loadtests.rows import Row, of_status


def ended(index: int, outcome: str, after_s: float, error: str | None = None, status: int = 200) -> Row:
    """A request that was sent when it was planned, four a second, and ended after a while."""
    sent_s = index / 4
    ends_s = sent_s + after_s
    return Row(index, sent_s, outcome, sent_s, sent_s, sent_s, ended_s=ends_s, status=status, error=error)


def refused(words: str, indices: Iterator[int] | range, status: int = 400) -> list[Row]:
    return [ended(index, f"http_{status}", 0.01, f"{status} {words}", status) for index in indices]


def test_words_of_the_server_are_counted_by_outcome_the_most_frequent_first() -> None:
    rows = [
        *refused("the model `big` does not exist", range(3), 404),
        *refused("this key is no good", range(3, 10), 401),
        ended(10, "error_event", 1.0, "engine died"),
        ended(11, "ttft_timeout", 1.0, "nothing until 3.214 s on the run clock"),
        ended(12, "ok", 1.0),
    ]
    assert refusals(columns(rows)) == (
        Refusal("http_401", "401 this key is no good", 7),
        Refusal("http_404", "404 the model `big` does not exist", 3),
        Refusal("error_event", "engine died", 1),
    )


def test_sentences_that_differ_only_in_numbers_and_names_of_requests_are_one() -> None:
    rows = [
        row
        for index in range(2000)
        for row in refused(
            f"request chatcmpl-{index:08x} has {5000 + index} tokens, at most 4096", range(index, index + 1)
        )
    ]
    assert refusals(columns(rows)) == (
        Refusal("http_400", "400 request chatcmpl-00000000 has 5000 tokens, at most 4096", 2000),
    )


def test_a_server_that_never_says_the_same_twice_fills_no_memory() -> None:
    letters = "abcdefghij"
    names = ["".join(letters[int(digit)] for digit in f"{index:04}") for index in range(1000)]
    rows = [row for index, name in enumerate(names) for row in refused(f"no {name}", range(index, index + 1))]
    found = columns(rows)
    assert len(found.words) < 300
    assert (found.said >= 0).all()


def test_an_assertion_on_4xx_counts_those_that_have_a_name_of_their_own_too() -> None:
    statuses = (400, 401, 404, 418, 429, 503)
    found = columns([ended(index, of_status(status), 0.01) for index, status in enumerate(statuses)])
    assert found.ended_as("http_4xx").tolist() == [True, True, True, True, False, False]
    assert found.ended_as("http_404").tolist() == [False, False, True, False, False, False]


def test_words_keep_their_counts_when_rows_are_read_piece_by_piece() -> None:
    pieces = [refused("no", range(3)), refused("never", range(3, 5)), refused("no", range(5, 9))]
    assert refusals(joined([unordered(piece) for piece in pieces])) == (
        Refusal("http_400", "400 no", 7),
        Refusal("http_400", "400 never", 2),
    )


CUT_AT_30 = [ended(index, "reset_mid_stream", 30.0 + 0.02 * (index % 3)) for index in range(0, 400, 10)]
WELL = [ended(index, "ok", 2.0 + index % 7) for index in range(400) if index % 10]


def test_streams_that_are_all_cut_at_one_age_point_to_a_deadline() -> None:
    assert common_age(columns([*CUT_AT_30, *WELL])) == CommonAge(pytest.approx(30.02), 40, 40)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rows",
    [
        # A kill: one instant, any age.
        [ended(index, "reset_mid_stream", 30.0 - index / 4) for index in range(100)],
        # A burst, and a kill 3 s later: one age, and one instant.
        [replace(ended(index, "reset_mid_stream", 3.0), sent_s=5.0, ended_s=8.0) for index in range(40)],
        # Answers that last equally long, of which some fail at their end.
        [ended(index, "ok" if index % 3 else "error_event", 30.0) for index in range(400)],
        # Refused at once.
        [ended(index, "reset_before_headers", 0.01) for index in range(400)],
        # The client's own patience.
        [ended(index, "ttft_timeout", 10.0) for index in range(400)],
        CUT_AT_30[:7],
        WELL,
        [],
    ],
    ids=["killed", "burst", "as long as all", "at once", "own patience", "few", "none cut", "nothing"],
)
def test_other_failures_point_to_no_deadline(rows: list[Row]) -> None:
    assert common_age(columns(rows)) is None


BODIES = [
    (b'{"error":{"message":"no such model","type":"NotFound","code":404}}', "no such model"),
    (b'{"object":"error","message":"no such model"}', "no such model"),
    (b'{"error":"no such model","error_type":"x"}', "no such model"),
    (b'{"detail":"Not Found"}', "Not Found"),
    (
        b'{"detail":[{"type":"missing","loc":["body","model"],"msg":"Field required","input":{"prompt":"secret"}}]}',
        "body.model: Field required",
    ),
    (b"<html>\n  502 Bad\n Gateway</html>", "<html> 502 Bad Gateway</html>"),
    (b'{"error":{"code":7}}', '{"error":{"code":7}}'),
    (b"", ""),
    (b"[" * 100_000, "[" * 100_000),
]


@pytest.mark.parametrize(("body", "words"), BODIES, ids=range(len(BODIES)))
def test_a_refusal_is_told_in_its_own_words_whatever_its_shape(body: bytes, words: str) -> None:
    assert words_of(body) == words


PROMPT = "where small river found the quick green table and never came back again"


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("401 Incorrect API key provided: sk-abc1234567.", "401 Incorrect API key provided: [key]."),
        ("401 Incorrect API key provided: sk-ab****4567.", "401 Incorrect API key provided: [key]."),
        ("401 got 'Bearer my.own.token'", "401 got '[key]'"),
        ("401 no user for letmein", "401 no user for [key]"),
        (f"400 refused: {PROMPT}!", "400 refused: [prompt]!"),
        (f"400 refused: {PROMPT[10:50]}...", "400 refused: [prompt]..."),
        ("400 the prompt is too long: 5000 tokens", "400 the prompt is too long: 5000 tokens"),
    ],
)
def test_keys_and_prompts_are_left_out(words: str, left: str) -> None:
    assert shown(words, "letmein", PROMPT) == left


def test_words_are_short() -> None:
    assert len(shown("x" * 100_000, "", "")) <= 200
