"""Rows of several processes: each counts once, while they are written, when they are merged and afterwards."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.parts import RowTail, all_rows, merge_parts, part_path, parts_of, remove_rows
from loadtests.rows import Row, read_rows, to_line, write_rows


def row(index: int) -> Row:
    return Row(index, index / 10, "ok")


def append(path: Path, *rows: Row, end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("".join(to_line(each) + end for each in rows))


def test_parts_merge_by_index_and_a_dead_workers_rows_are_missing(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    write_rows(part_path(rows, 0), [row(4), row(0)])
    part_path(rows, 1).write_text('{"index":1,"intended_s":0.1,"outcome":"ok"}\n{"index":3,"inte')

    assert [each.index for each in all_rows(rows)] == [4, 0, 1]
    merge_parts(rows)
    merge_parts(rows)

    assert [each.index for each in read_rows(rows)] == [0, 1, 4]
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]


def test_parts_with_a_line_that_is_no_row_are_not_merged_and_stay(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    write_rows(part_path(rows, 0), [row(0)])
    part_path(rows, 1).write_text(to_line(row(1)) + "\nnonsense\n")
    with pytest.raises(ValueError, match=r"rows\.1:2: "):
        merge_parts(rows)
    assert len(parts_of(rows)) == 2
    assert not rows.exists()


def test_rows_whose_keys_are_in_another_order_merge_too(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    write_rows(part_path(rows, 0), [row(2)])
    part_path(rows, 1).write_text('{"outcome":"ok","intended_s":0.1,"index":1}\n')
    merge_parts(rows)
    assert [each.index for each in read_rows(rows)] == [1, 2]


def test_a_part_that_comes_later_from_another_host_merges_too(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    write_rows(rows, [row(0)])
    write_rows(part_path(rows, 1), [row(1)])
    merge_parts(rows)
    assert [each.index for each in read_rows(rows)] == [0, 1]


def test_rows_of_a_process_alone_stay_in_the_order_in_which_they_ended(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows", [row(1), row(0)])
    merge_parts(tmp_path / "rows")
    assert [each.index for each in all_rows(tmp_path / "rows")] == [1, 0]


def test_parts_are_numbered_files_beside_the_rows_and_nothing_else(tmp_path: Path) -> None:
    rows = tmp_path / "rows[1].jsonl"
    numbers = [10, 9, 0]
    for path in (rows, *(part_path(rows, number) for number in numbers)):
        append(path, row(0))
    for name in ("rows[1].jsonl.gz", "rows1.jsonl.3", "3", "rows[1].jsonl.plan.4", "load.json"):
        (tmp_path / name).write_text("")

    assert parts_of(rows) == [part_path(rows, number) for number in (0, 9, 10)]
    remove_rows(rows)
    assert {path.name for path in tmp_path.iterdir()} == {
        "rows[1].jsonl.gz",
        "rows1.jsonl.3",
        "3",
        "rows[1].jsonl.plan.4",
        "load.json",
    }


def test_where_nothing_was_written_there_are_no_rows(tmp_path: Path) -> None:
    assert list(all_rows(tmp_path / "no-folder" / "rows")) == []
    assert RowTail(tmp_path / "no-folder" / "rows").new() == []


def test_a_line_that_is_no_row_is_refused_with_file_and_line(tmp_path: Path) -> None:
    part_path(tmp_path / "rows", 1).write_text(to_line(row(0)) + "\nnonsense\n")
    with pytest.raises(ValueError, match=r"rows\.1:2: "):
        list(all_rows(tmp_path / "rows"))


@settings(deadline=None)
@given(
    st.lists(st.integers(-1, 2), min_size=1, max_size=30),
    st.sets(st.integers(0, 30)),
    st.booleans(),
)
def test_a_tail_sees_each_row_once_however_looks_fall_between_them(
    tmp_path_factory: pytest.TempPathFactory, writers: list[int], looks: set[int], merged: bool
) -> None:
    """Each row is written by a worker, or, where the number is -1, by a process alone."""
    rows = tmp_path_factory.mktemp("rows") / "requests.jsonl"
    tail, seen = RowTail(rows), []
    for index, worker in enumerate(writers):
        append(rows if worker < 0 else part_path(rows, worker), row(index))
        if index in looks:
            seen += tail.new()
    if merged:
        merge_parts(rows)
    seen += tail.new()
    seen += tail.new()
    assert sorted(each.index for each in seen) == list(range(len(writers)))


def test_a_row_that_is_being_written_waits_for_its_newline(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    tail = RowTail(rows)
    append(part_path(rows, 1), row(0), end="")
    assert tail.new() == []
    with part_path(rows, 1).open("a") as file:
        file.write("\n")
    assert tail.new() == [row(0)]
