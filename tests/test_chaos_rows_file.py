from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.measuring.columns import columns, joined, taken
from chaos.record import rows_file
from chaos.record.plan_file import PlannedInstants, read_instants
from chaos.record.rows_file import read_columns
from loadtests.parts import part_path
from loadtests.plan import Arrival, Plan
from loadtests.rows import OUTCOMES, Row, to_line, write_rows

ROWS = [
    Row(
        index,
        index / 10,
        "ok",
        index / 10 + 0.001,
        token_s=tuple(index / 10 + 0.05 * k for k in range(1, 1 + index % 4)),
        ended_s=index / 10 + 0.3,
        replica=f"r{index % 3}",
    )
    for index in range(40)
]
STAMPS = st.none() | st.floats(0, 100).map(lambda value: round(value, 6))
DRAWN = st.builds(
    Row,
    index=st.integers(0, 10_000),
    intended_s=st.floats(0, 100).map(lambda value: round(value, 6)),
    outcome=st.sampled_from(OUTCOMES),
    dispatched_s=STAMPS,
    connected_s=STAMPS,
    sent_s=STAMPS,
    headers_s=STAMPS,
    token_s=st.lists(st.floats(0, 100).map(lambda value: round(value, 6)), max_size=5).map(sorted).map(tuple),
    ended_s=STAMPS,
    output_tokens=st.none() | st.integers(0, 50),
    replica=st.none() | st.sampled_from(["a", "b", "c"]),
)


@settings(max_examples=60)
@given(rows=st.lists(DRAWN, max_size=30))
def test_columns_of_a_file_are_those_of_its_rows_in_order_of_their_instants(
    rows: list[Row], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rows") / "requests.jsonl"
    write_rows(path, rows)
    found = read_columns(path)
    in_order = sorted(rows, key=lambda row: row.intended_s)
    assert found.index.tolist() == [row.index for row in in_order]
    for place, row in enumerate(in_order):
        first = found.token_from[place]
        assert found.token_s[first : first + found.tokens[place]].tolist() == list(row.token_s)
        assert OUTCOMES[found.outcome[place]] == row.outcome
        assert (found.replicas[found.replica[place]] if found.replica[place] >= 0 else None) == row.replica
    gaps = sorted(gap for row in in_order for gap in row.itl_s)
    assert np.sort(found.gaps_s(np.arange(len(rows)))).tolist() == pytest.approx(gaps)
    every_other = np.arange(0, len(rows), 2)
    some = taken(found, every_other)
    assert sorted(some.gaps_s(np.arange(len(some)))) == pytest.approx(sorted(found.gaps_s(every_other)))


def test_the_first_gap_that_is_too_wide_is_known_while_it_lasts() -> None:
    rows = [
        Row(0, 2.0, "ok", 2.0, token_s=(2.1, 2.2, 5.0, 9.0), ended_s=9.1),
        Row(1, 1.0, "ok", 1.0, token_s=(1.1, 1.2), ended_s=1.3),
        Row(2, 3.0, "ok", 3.0, token_s=(), ended_s=3.1),
    ]
    assert columns(rows).first_gap_above(1.0).tolist() == pytest.approx([np.nan, 3.2, np.nan], nan_ok=True)


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    write_rows(path, ROWS)
    with path.open("a") as file:
        file.write('{"index": 40, "inten')
    assert len(read_columns(path)) == 40
    assert len(read_columns(tmp_path / "none.jsonl")) == 0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        pytest.param("{", "truncated", id="no JSON"),
        pytest.param('{"index": 3, "intended_s": 1.0}', "outcome", id="a key is missing"),
        pytest.param(
            '{"index": 3, "intended_s": 1.0, "outcome": "fine"}', "outcome 'fine' is not one of", id="outcome"
        ),
        pytest.param(
            '{"index": 3, "intended_s": NaN, "outcome": "ok"}', "invalid", id="a stamp that is no number"
        ),
        pytest.param(
            '{"index": 3, "intended_s": 1, "outcome": "ok", "colour": 1}', "colour", id="a key too many"
        ),
        pytest.param("", "", id="an empty line"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [rows_file._CHUNK_BYTES, 300], ids=["in one chunk", "in many"])
def test_a_line_that_is_no_row_is_named(
    line: str, complaint: str, chunk_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_file, "_CHUNK_BYTES", chunk_bytes)
    path = tmp_path / "requests.jsonl"
    lines = [to_line(row) for row in ROWS]
    lines.insert(17, line)
    path.write_text("\n".join(lines) + "\n")
    if not line:
        assert len(read_columns(path)) == 40, "nothing is said in it"
        return
    with pytest.raises(ValueError, match=rf"requests\.jsonl:18: .*{complaint}"):
        read_columns(path)


def test_rows_of_parts_count_once_while_they_are_being_merged(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    write_rows(path, ROWS[:30])
    write_rows(part_path(path, 0), ROWS[::2])
    write_rows(part_path(path, 1), ROWS[1::2])
    assert read_columns(path).index.tolist() == list(range(40))


def test_a_row_that_one_file_has_twice_is_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    write_rows(path, [*ROWS, ROWS[3]])
    assert len(read_columns(path)) == 41


def test_chunks_are_joined_with_the_names_of_all_their_replicas() -> None:
    halves = [columns(ROWS[:7]), columns([replace(row, replica="z") for row in ROWS[7:]])]
    whole = joined(halves)
    assert whole.replicas == ("r0", "r1", "r2", "z")
    assert [whole.replicas[place] for place in whole.replica[5:9]] == ["r2", "r0", "z", "z"]


def test_instants_of_a_plan_are_read_without_making_its_arrivals(tmp_path: Path) -> None:
    plan = Plan(tuple(Arrival(index, index / 7, 64, 32, 5) for index in range(50)))
    path = tmp_path / "plan.jsonl"
    plan.write(path)
    found = read_instants(path)
    assert (found.sha256, found.offsets_s.tolist(), found.sessions) == (
        plan.sha256,
        list(plan.offsets_s),
        None,
    )
    assert PlannedInstants.of(plan).offsets_s.tolist() == list(plan.offsets_s)
    path.write_text("nothing\n")
    with pytest.raises(ValueError, match=r"plan\.jsonl"):
        read_instants(path)


def test_a_plan_with_sessions_is_read_as_a_whole(tmp_path: Path) -> None:
    first = Arrival(0, 0.5, 64, 2, 1, session=1, turn=0)
    plan = Plan((first, Arrival(1, 1.5, 64, 2, 1, session=1, turn=1, think_s=1.0)))
    plan.write(tmp_path / "plan.jsonl")
    found = read_instants(tmp_path / "plan.jsonl")
    assert found.sessions is not None
    assert found.waiting.tolist() == [1]
    assert found.sha256 == plan.sha256
