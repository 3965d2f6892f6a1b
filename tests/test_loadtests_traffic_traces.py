"""Replay of recorded traces, of made-up files in their shapes, and of real ones where they lie beside the project."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.plan import Plan
from loadtests.prompts import prompt_of
from loadtests.spec import LoadSpec
from loadtests.traffic.figures import coefficient_of_variation, quantile
from loadtests.traffic.trace_formats import read_trace
from loadtests.traffic.traces import Trace, window
from tests.support.given_data import ABSENT, FOLDER

REAL = FOLDER / "traces"
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"


def azure(*rows: tuple[float, int, int]) -> str:
    return AZURE + "".join(
        f"2024-05-10 {10 + int(at // 3600)}:{int(at // 60) % 60:02}:{at % 60:010.7f},{asked},{answered}\n"
        for at, asked, answered in rows
    )


def mooncake(*rows: tuple[int, int, int, list[int]]) -> str:
    line = '{"timestamp": %d, "input_length": %d, "output_length": %d, "hash_ids": %s}\n'
    return "".join(line % row for row in rows)


def burst(*rows: tuple[str, int, int]) -> str:
    return BURST + "".join(
        f"{at},ChatGPT,{asked},{said},{asked + said},Conversation log\n" for at, asked, said in rows
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def planned(path: Path, duration_s: float, scale: float = 1.0, seed: int = 1, **trace: Any) -> Plan:
    return Plan.of(
        LoadSpec(
            url="",
            rate_per_s=1.0,
            duration_s=duration_s,
            seed=seed,
            length_scale=scale,
            trace=Trace(file=path, **trace),
        )
    )


def seen(plan: Plan) -> list[tuple[float, int, int]]:
    return [(each.at_s, each.prompt_tokens, each.output_tokens) for each in plan.arrivals]


SAME = [(0.0, 100, 10), (1.25, 200, 20), (4.0, 300, 30)]


@pytest.mark.parametrize(
    "text",
    [
        azure((3.5, 100, 10), (4.75, 200, 20), (7.5, 300, 30), (9.5, 1, 1)),
        azure((3.5, 100, 10), (4.75, 200, 20), (7.5, 300, 30), (9.5, 1, 1)).replace("000,", "000+00:00,"),
        "\ufeff" + azure((3.5, 100, 10), (4.75, 200, 20), (7.5, 300, 30), (9.5, 1, 1)).replace("\n", "\r\n"),
        mooncake((500, 100, 10, [0]), (1750, 200, 20, [0]), (4500, 300, 30, [1]), (6500, 1, 1, [2])),
        burst(("5", 100, 10), ("6.25", 200, 20), ("9.0", 300, 30), ("11", 1, 1)),
    ],
    ids=["azure 2023", "azure 2024", "azure as a spreadsheet saves it", "mooncake", "burstgpt"],
)
def test_a_trace_of_each_shape_is_replayed_from_its_first_row(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", newline="")
    assert seen(planned(file, 5.0)) == SAME


def test_columns_may_stand_in_another_order_among_others_and_lines_may_be_blank(file: Path) -> None:
    file.write_text(
        "Session ID,Response tokens,Elapsed time,Timestamp,Request tokens\n"
        "1,10,0.5,5,100\n\n2,20,0.5,6.25,200\n1,30,0.5,9,300\n3,1,1,10,1\n"
    )
    assert seen(planned(file, 4.5)) == SAME


def test_a_window_a_speed_and_a_scale_say_what_of_it_is_played_how(file: Path) -> None:
    file.write_text(azure(*((float(second), 1000 + second, 100) for second in range(60))))
    plan = planned(file, 5.0, scale=0.1, from_s=10.0, to_s=30.0, speed=2.0)
    assert seen(plan) == [(second / 2, round((1010 + second) / 10), 10) for second in range(10)]
    with pytest.raises(
        ValueError, match=r"trace: the window lasts 20 s, the load 15 s at speed 2 needs 30 s"
    ):
        planned(file, 15.0, from_s=10.0, to_s=30.0, speed=2.0)
    with pytest.raises(ValueError, match=r"trace: nothing lies from 100 s to 59 s; the trace lasts 59 s"):
        planned(file, 15.0, from_s=100.0)


def test_a_window_with_an_end_is_read_no_further_than_a_minute_after_it(file: Path) -> None:
    rows = [(float(second), 5, 5) for second in range(200)]
    file.write_text(azure(*rows) + "what comes later is never looked at\n")
    with pytest.raises(ValueError, match=r"trace:202: expected 3 values, got 1"):
        planned(file, 5.0)
    assert len(planned(file, 10.0, from_s=20.0, to_s=40.0).arrivals) == 10

    rows[60:60] = [(30.0, 7, 7)]  # half a minute late: it still finds its place
    file.write_text(azure(*rows))
    late = planned(file, 15.0, from_s=20.0, to_s=40.0)
    assert [each.prompt_tokens for each in late.arrivals if each.at_s == 10.0] == [5, 7]


def test_equal_blocks_of_a_trace_are_equal_text_and_others_are_not(file: Path) -> None:
    rows = [(0, 1500, 1, [7, 8, 9]), (1000, 1300, 1, [7, 8, 5]), (2000, 520, 1, [6, 8]), (9000, 1, 1, [0])]
    file.write_text(mooncake(*rows))
    first, second, third = (prompt_of(arrival) for arrival in planned(file, 5.0).arrivals)
    assert [len(text) for text in (first, second, third)] == [1500, 1300, 520]
    assert first[:1024] == second[:1024]
    assert first[1024:1300] != second[1024:]
    assert third[:512] not in first
    assert third[512:] == first[512:520]
    scaled = planned(file, 5.0, scale=0.5).arrivals
    assert prompt_of(scaled[0])[:512] == prompt_of(scaled[1])[:512]
    assert Plan(planned(file, 5.0).arrivals).sha256 == planned(file, 5.0).sha256


def test_a_plan_with_blocks_comes_back_from_its_file(file: Path, tmp_path: Path) -> None:
    file.write_text(mooncake((0, 600, 1, [7, 8]), (9000, 1, 1, [0])))
    plan = planned(file, 5.0)
    plan.write(tmp_path / "plan.jsonl")
    assert Plan.read(tmp_path / "plan.jsonl") == plan
    assert plan.arrivals[0].blocks == (7, 8)


ODD = [
    (
        "out of order",
        azure((0.0, 1, 1), (2.0, 1, 1), (1.0, 1, 1), (9.0, 1, 1)),
        [":4: earlier than the row before; 1 row put in order"],
    ),
    (
        "a zero among times",
        burst(("50", 1, 1), ("0", 1, 1), ("60", 1, 1)),
        [":3: earlier than the row before; 1 row"],
    ),
    (
        "no answer",
        burst(("0", 5, 0), ("1", 5, 0), ("2", 5, 5)),
        [":2: an answer of 0 tokens; 2 rows asked with 1"],
    ),
    (
        "no prompt",
        mooncake((0, 0, 3, []), (9000, 5, 5, [])),
        [":1: a prompt of 0 tokens; 1 row asked with 1"],
    ),
    (
        "whole seconds",
        burst(("0", 1, 1), ("1", 1, 1), ("1", 1, 1), ("1", 1, 1), ("2", 1, 1)),
        [
            ":4: at the instant of the row before; 2 rows of 5 leave together, every 1 s: `spread` takes them apart"
        ],
    ),
    (
        "a sparse head",
        azure((0.0, 1, 1), *((500.0 + second, 1, 1) for second in range(500))),
        [":2: a sparse head: 1 of 501 rows in the first 99.9 s of the window; line 3 is 500 s into it"],
    ),
    ("nothing odd", azure(*((second / 2, 1, 1) for second in range(200))), []),
]


@pytest.mark.parametrize(("text", "notices"), [case[1:] for case in ODD], ids=[case[0] for case in ODD])
def test_what_is_odd_is_replayed_and_told_with_its_first_line(
    file: Path, text: str, notices: list[str]
) -> None:
    file.write_text(text)
    found = window(Trace(file=file)).notices
    assert len(found) == len(notices)
    assert all(each.startswith(f"{file}{notice}") for each, notice in zip(found, notices, strict=True)), found
    at_s = [row.at_s for row in window(Trace(file=file)).rows]
    assert at_s == sorted(at_s)
    assert all(arrival.prompt_tokens and arrival.output_tokens for arrival in planned(file, 1.0).arrivals)


def test_rows_of_one_instant_are_taken_apart_by_a_spread_within_its_bounds(file: Path) -> None:
    file.write_text(burst(*((str(second), 1, 1) for second in range(101) for _ in range(20))))
    together, apart = planned(file, 50.0), planned(file, 50.0, spread_s=1.0)
    assert len(set(together.offsets_s)) == 50
    assert len(set(apart.offsets_s)) == len(apart.offsets_s) == 1000
    assert np.all(np.histogram(apart.offsets_s, np.arange(51))[0] == 20)
    assert coefficient_of_variation(np.diff(apart.offsets_s)) == pytest.approx(1.0, abs=0.15)
    assert planned(file, 50.0, spread_s=1.0, seed=2).offsets_s != apart.offsets_s


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", ":1: expected a header with TIMESTAMP,ContextTokens,GeneratedTokens or .*JSON lines, got ''"),
        ("a,b\n1,2\n", ":1: expected a header with .*, got 'a,b'"),
        (AZURE, "expected at least one row, got none"),
        (AZURE + "2024-05-10 10:00:00.1,5\n", ":2: expected 3 values, got 2"),
        (AZURE + "soon,5,5\n", ":2: expected in TIMESTAMP a time, got 'soon'"),
        (AZURE + "0,5,5\n", ":2: expected in TIMESTAMP a time, got '0'"),
        (
            AZURE + "2024-05-10 10:00:00.1,5,many\n",
            ":2: expected as tokens of the answer a whole number from 0",
        ),
        (
            AZURE + "2024-05-10 10:00:00.1,-5,5\n",
            ":2: expected as tokens of the prompt a whole number from 0",
        ),
        (
            BURST + "1,GPT-4,5,5.5,10,log\n",
            ":2: expected as tokens of the answer a whole number from 0, got '5.5'",
        ),
        (BURST + "nan,GPT-4,5,5,10,log\n", ":2: expected a time from 0, got nan"),
        (BURST + "-1,GPT-4,5,5,10,log\n", ":2: expected a time from 0, got -1"),
        (burst(("3", 1, 1), ("3", 2, 2)), ":2: expected times that go on, got 3 s in every row"),
        (mooncake((0, 1, 1, [])) + "{\n", ":2: expected a JSON object with timestamp, input_length"),
        ('{"timestamp": "0", "input_length": 1, "output_length": 1}\n', ":1: expected numbers, got"),
        ('{"timestamp": 0, "input_length": 1}\n', ":1: expected a JSON object with timestamp, input_length"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_file_line_and_expectation(
    file: Path, text: str, complaint: str
) -> None:
    file.write_text(text)
    with pytest.raises(ValueError, match=complaint) as refusal:
        planned(file, 1.0)
    assert str(refusal.value).startswith(str(file))


def test_a_file_that_is_not_text_is_refused_by_name(file: Path) -> None:
    file.write_bytes(AZURE.encode() + b"\xff\xfe\n")
    with pytest.raises(ValueError, match=r"trace: expected UTF-8 text"):
        planned(file, 1.0)


@pytest.mark.skipif(not REAL.is_dir(), reason=ABSENT)
@pytest.mark.parametrize(
    ("name", "rows", "rate_per_s", "cv", "lengths", "notices"),
    [
        ("AzureLLMInferenceTrace_conv.csv", 19_366, 5.53, 1.09, (1020, 601), 0),
        ("AzureLLMInferenceTrace_code.csv", 8_819, 2.57, 13.2, (1469, 251), 0),
        ("mooncake_conversation_trace.jsonl", 12_031, 3.40, 3.03, (6909, 1119), 1),
    ],
)
def test_real_traces_are_read_whole_and_have_the_figures_that_are_published_of_them(
    name: str, rows: int, rate_per_s: float, cv: float, lengths: tuple[int, int], notices: int
) -> None:
    found = window(Trace(file=REAL / name))
    assert len(found.rows) == rows
    assert found.rate_per_s == pytest.approx(rate_per_s, rel=0.002)
    gaps_s = np.diff([row.at_s for row in found.rows])
    assert coefficient_of_variation(gaps_s) == pytest.approx(cv, rel=0.01)
    assert quantile(np.array([row.prompt_tokens for row in found.rows]), 50) == lengths[0]
    assert quantile(np.array([row.output_tokens for row in found.rows]), 99) == pytest.approx(
        lengths[1], abs=1
    )
    assert len(found.notices) == notices, found.notices

    plan = planned(REAL / name, 60.0, scale=0.1, from_s=600.0, speed=10.0)
    asked = list(read_trace(REAL / name))
    zero_s = asked[0].at_s
    inside = [row for row in asked if 600 <= round(row.at_s - zero_s, 6) < 1200]
    assert len(plan.arrivals) == len(inside)
    assert [each.prompt_tokens for each in plan.arrivals] == [
        max(1, round(row.prompt_tokens / 10)) for row in inside
    ]
