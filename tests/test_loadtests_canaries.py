"""Canaries: questions whose right answer is known or learnt, among the requests of a load, and claims about answers."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from chaos.assertions.grammar import parse
from chaos.errors import InputError
from chaos.experiment.experiment import read_experiment
from chaos.judging.evaluation import evaluate
from chaos.measuring.columns import columns, in_order, joined, taken
from chaos.record.rows_file import read_columns
from chaos.record.verdict import Verdict
from loadtests.canaries import Canaries, text_of
from loadtests.rows import Row, read_rows
from loadtests.sse import ServerEvent
from tests.support.killed_run import LIFE, measured, rows_of_a_kill
from tests.support.scripted_server import ScriptedServer

ROOT = Path(__file__).parent.parent
SAID = "".join(f"w{number} " for number in range(5))
"""What the scripted server says to whatever it is asked."""
TWO = Canaries.model_validate({"every": 3, "prompts": [{"prompt": "one"}, {"prompt": "two", "answer": SAID}]})


def test_one_in_so_many_requests_is_a_canary_and_they_come_in_turn() -> None:
    assert [TWO.number_of(index) for index in range(10)] == [0, None, None, 1, None, None, 0, None, None, 1]


def test_what_is_kept_of_an_answer_is_a_digest_or_whether_it_is_right() -> None:
    assert TWO.kept_of(0, "a") == TWO.kept_of(0, "a") != TWO.kept_of(0, "b")
    assert TWO.kept_of(0, "a").startswith("0:")
    assert [TWO.kept_of(1, text) for text in (SAID, SAID[:-1])] == ["1:right", "1:wrong"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('{"choices": [{"delta": {"content": "so"}}]}', "so"),
        ('{"choices": [{"text": "so"}]}', "so"),
        ('{"choices": [{"message": {"content": "so"}}]}', "so"),
        ('{"choices": [{"delta": {"content": null}}]}', ""),
        ('{"choices": []}', ""),
        ("[]", ""),
        ("so", ""),
    ],
)
def test_the_words_of_an_event_are_those_that_a_user_reads(data: str, text: str) -> None:
    assert text_of(ServerEvent(data)) == text


def test_a_load_with_canaries_keeps_what_they_were_answered_and_nothing_of_the_others(tmp_path: Path) -> None:
    path, asked = tmp_path / "rows.jsonl", []
    with ScriptedServer() as server:
        words = ["--rate", "40", "--duration", "1", "--output-tokens", "5", "--ignore-eos", "--model", "tiny"]
        canaries = f"--canaries={TWO.model_dump_json(exclude_none=True)}"
        command = [sys.executable, "-m", "locust", "--headless", "--host", server.url(), *words, canaries]
        subprocess.run([*command, "--rows", str(path)], cwd=ROOT, check=True, timeout=60, capture_output=True)
        asked = [json.loads(body) for _, _, body in server.requests if body]
    rows = [*read_rows(path)]
    kept = {row.index: row.answer for row in rows if row.answer is not None}
    assert kept == {
        index: "1:right" if index % 6 else TWO.kept_of(0, SAID) for index in range(0, len(rows), 3)
    }
    found = read_columns(path)
    assert Counter(found.answers[place] for place in found.answer if place >= 0) == Counter(kept.values())
    prompts = Counter(each["messages"][0]["content"] for each in asked if each.get("temperature") == 0)
    assert (sorted(prompts), prompts.total()) == (["one", "two"], len(kept))


def answered(*, wrong_from_s: float, number: int = 0) -> list[Row]:
    """Every complete answer is a canary's, and says another thing from an instant on, for a second."""
    return [
        replace(row, answer=f"{number}:{'b' if wrong_from_s <= row.intended_s < wrong_from_s + 1 else 'a'}")
        if row.ok
        else row
        for row in rows_of_a_kill()
    ]


def test_what_all_answers_of_the_baseline_say_is_right_and_another_is_counted() -> None:
    run = measured(answered(wrong_from_s=42.0), *LIFE)
    found = evaluate(parse("wrong_answers(fault) == 0"), run)
    assert (found.verdict, found.observed, found.interval) == (Verdict.DEVIATED, 10, (10, 10))
    assert evaluate(parse("wrong_answers(baseline) == 0"), run).verdict is Verdict.PASSED
    assert evaluate(parse("wrong_answers(all) <= 10"), run).verdict is Verdict.PASSED


def test_a_service_that_gives_no_equal_answers_to_equal_questions_has_no_wrong_ones() -> None:
    found = evaluate(parse("wrong_answers(fault) == 0"), measured(answered(wrong_from_s=20.0), *LIFE))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "in the baseline are 2 different ones" in (found.reason or "")


def test_without_canaries_nothing_is_known_and_one_that_was_given_needs_no_baseline() -> None:
    nothing = evaluate(parse("wrong_answers(fault) == 0"), measured(rows_of_a_kill(), *LIFE))
    assert (nothing.verdict, nothing.observed) == (Verdict.INCONCLUSIVE, None)
    late = [
        replace(row, answer="1:wrong" if row.intended_s > 42 else None) if row.ok else row
        for row in rows_of_a_kill()
    ]
    given = evaluate(parse("wrong_answers(all) <= 5"), measured(late, *LIFE))
    assert given.verdict is Verdict.DEVIATED


def test_columns_keep_answers_in_whatever_order_and_parts_they_come() -> None:
    rows = answered(wrong_from_s=42.0)
    whole = columns(rows)
    halves = in_order(joined([columns(rows[300:]), columns(rows[:300])]))
    for found in (whole, halves):
        said = [found.answers[place] if place >= 0 else None for place in found.answer]
        assert said == [row.answer for row in rows]
    assert [whole.answers[place] for place in taken(whole, whole.index[420:421]).answer] == ["0:b"]


def test_a_claim_about_answers_needs_canaries_and_sessions_can_have_none(tmp_path: Path) -> None:
    shipped = ROOT / "chaos" / "experiments" / "wrong-weights.yaml"
    text = shipped.read_text().replace("../manifests", str(shipped.parent.parent / "manifests"))
    path = tmp_path / "one.yaml"
    path.write_text(text)
    assert read_experiment(path).spec.load.canaries is not None
    start, end = text.index("  canaries:"), text.index("\nphases")
    path.write_text(text[:start] + text[end:])
    with pytest.raises(InputError, match=r"expected load\.canaries"):
        read_experiment(path)
    path.write_text(text.replace("  canaries:", "  sessions: {turns: 2, think: 1s}\n  canaries:"))
    with pytest.raises(InputError, match="none with sessions"):
        read_experiment(path)
