from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.rows import OUTCOMES, Row, from_line, read_rows, to_line, write_rows

stamps = st.integers(0, 10**9).map(lambda micros: round(micros / 1e6, 6))
maybe_stamp = st.none() | stamps
rows = st.builds(
    Row,
    index=st.integers(0, 10**6),
    intended_s=stamps,
    outcome=st.sampled_from(OUTCOMES),
    dispatched_s=maybe_stamp,
    connected_s=maybe_stamp,
    sent_s=maybe_stamp,
    headers_s=maybe_stamp,
    token_s=st.lists(stamps).map(tuple),
    ended_s=maybe_stamp,
    prompt_tokens=st.none() | st.integers(0, 1000),
    output_tokens=st.none() | st.integers(0, 1000),
    status=st.none() | st.integers(100, 599),
    attempts=st.none() | st.integers(0, 3),
    replica=st.none() | st.text(max_size=5),
    error=st.none() | st.text(max_size=50),
)


@settings(deadline=None)
@given(rows)
def test_a_row_comes_back_from_its_line(row: Row) -> None:
    line = to_line(row)
    assert "\n" not in line
    assert from_line(line) == row


def test_a_last_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    write_rows(path, [Row(0, 0.5, "ok"), Row(1, 0.7, "censored")])
    path.write_text(path.read_text() + '{"index":2,"inten')
    assert [row.index for row in read_rows(path)] == [0, 1]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("oops", "Expecting value"),
        ('{"index":1,"intended_s":0}', r"lacks \['outcome'\]"),
        ('{"index":1,"intended_s":0,"outcome":"ok","ttft":1}', r"unknown keys \['ttft'\]"),
        ('{"index":1,"intended_s":0,"outcome":"fine"}', "outcome 'fine' is not one of ok, "),
    ],
    ids=["no JSON", "missing key", "unknown key", "unknown outcome"],
)
def test_a_line_that_is_no_row_is_refused_with_file_and_line(
    tmp_path: Path, line: str, complaint: str
) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(to_line(Row(0, 0.5, "ok")) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=rf"requests\.jsonl:2: .*{complaint}"):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("row", "ttft_s", "e2e_s", "tpot_s", "failed_at_s"),
    [
        (Row(0, 1.0, "ok", token_s=(1.5, 1.7, 2.1), ended_s=2.2), 0.5, 1.2, 0.3, None),
        (Row(0, 1.0, "ok", token_s=(1.5,), ended_s=1.6), 0.5, 0.6, None, None),
        (Row(0, 1.0, "ok", token_s=(1.5, 2.5), ended_s=2.5, output_tokens=5), 0.5, 1.5, 0.25, None),
        (Row(0, 1.0, "reset_mid_stream", token_s=(1.5,), ended_s=3.0), 0.5, None, None, 3.0),
        (Row(0, 1.0, "stall_timeout", token_s=(1.5,), ended_s=9.0), 0.5, None, None, 1.5),
        (
            Row(0, 1.0, "ttft_timeout", dispatched_s=1.1, sent_s=1.2, ended_s=9.0),
            None,
            None,
            None,
            1.2,
        ),
        (Row(0, 1.0, "client_dropped"), None, None, None, 1.0),
    ],
    ids=["ok", "one token", "usage counts tokens", "reset", "stall", "silence", "dropped"],
)
def test_latencies_run_from_the_intended_start_and_silence_fails_at_the_last_progress(
    row: Row,
    ttft_s: float | None,
    e2e_s: float | None,
    tpot_s: float | None,
    failed_at_s: float | None,
) -> None:
    def close(value: float | None) -> object:
        return None if value is None else pytest.approx(value)

    assert row.ttft_s == close(ttft_s)
    assert row.e2e_s == close(e2e_s)
    assert row.tpot_s == close(tpot_s)
    assert row.failed_at_s == close(failed_at_s)
