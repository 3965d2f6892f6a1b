"""A rule on HTTP on the local target: proved from outside, on its victim alone, and undone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaos.targets.http.effects import HttpRule, Patch, Replacement
from chaos.targets.http.evidence import Pair, back, hit, plan
from chaos.targets.http.questions import Answer, Question, questions
from chaos.targets.local import naming
from chaos.targets.local.means.kinds import means_of
from chaos.targets.local.target import LocalTarget
from tests.conftest import Eventually, wait_until
from tests.support.local_cluster import all_ready, tell, toy_spec


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTarget]:
    with LocalTarget(toy_spec(tmp_path_factory.mktemp("http"), 3)) as started:
        yield started


@pytest.fixture
def target(cluster: LocalTarget) -> LocalTarget:
    wait_until(lambda: all_ready(cluster), within_s=30, what="three ready replicas")
    return cluster


RULES = {
    "every request is aborted": HttpRule("Request", 8000, abort=True),
    "every answer is aborted": HttpRule("Response", 8000, path="/v1/*", abort=True),
    "requests are late": HttpRule("Request", 8000, path="/v1/*", method="POST", delay_s=0.3),
    "answers are later than anybody waits": HttpRule("Response", 8000, path="/v1/models", delay_s=3600.0),
    "answers are errors": HttpRule(
        "Response", 8000, path="/v1/*", code=200, replace=Replacement(code=503, body=b'{"error": {}}')
    ),
    "an answer to one user": HttpRule(
        "Response", 8000, request_headers={"x-user": "a"}, patch=Patch(headers=(("retry-after", "3"),))
    ),
    "another path": HttpRule("Request", 8000, path="/readyz", replace=Replacement(path="/v1/models")),
    "a longer answer": HttpRule("Request", 8000, method="POST", patch=Patch(body='{"max_tokens": 3}')),
    "an answer patched": HttpRule("Response", 8000, path="/v1/chat/*", patch=Patch(body='{"choices": null}')),
    "an answer that is no JSON is broken off": HttpRule(
        "Response", 8000, path="/v1/models", replace=Replacement(body=b"no"), patch=Patch(body="{}")
    ),
}


@pytest.mark.parametrize("case", RULES)
def test_a_rule_is_seen_on_its_victim_alone_and_no_more_once_it_is_undone(
    target: LocalTarget, case: str
) -> None:
    rule = RULES[case]
    victim, bystander = target.replicas()[:2]
    target.aim("rule#1", [rule], [victim])
    target.aim("control#1", [rule], [bystander])
    target.inject("rule#1", [victim])
    target.inject("control#1", [])
    (evidence,) = target.verify("rule#1", within_s=5)
    assert evidence.verified, evidence.how
    (control,) = target.verify("control#1", within_s=0)
    assert not control.verified, control.how
    assert "counts 0 messages selected" in control.how
    assert not target.verify_recovered("rule#1", within_s=0)[0].verified
    assert target.verify_recovered("control#1", within_s=5)[0].verified
    target.recover("rule#1")
    target.recover("rule#1")
    (evidence,) = target.verify_recovered("rule#1", within_s=5)
    assert evidence.verified, evidence.how


@pytest.mark.parametrize(
    "rule",
    [
        HttpRule("Response", 8000, code=599, abort=True),
        HttpRule("Request", 8000, path="/v1/engine/sleep", method="POST", abort=True),
        HttpRule("Response", 8000, path="/readyz", replace=Replacement(code=200)),
        HttpRule("Request", 8000, path="/readyz", patch=Patch(headers=(("x-a", "b"),))),
    ],
    ids=[
        "answers that nobody gets",
        "a request that would do something",
        "what is so anyway",
        "what nobody can see",
    ],
)
def test_what_cannot_be_seen_is_not_verified_and_says_so(target: LocalTarget, rule: HttpRule) -> None:
    victim = target.replicas()[0]
    target.aim("unseen#1", [rule], [victim])
    target.inject("unseen#1", [victim])
    (evidence,) = target.verify("unseen#1", within_s=0)
    target.recover("unseen#1")
    assert not evidence.verified
    assert "nothing harmless to ask" in evidence.how


def test_of_two_rules_on_a_replica_each_can_be_undone_while_the_other_goes_on(target: LocalTarget) -> None:
    victim = target.replicas()[0]
    late, broken = HttpRule("Request", 8000, delay_s=0.3), HttpRule("Request", 8000, abort=True)
    for occurrence, rule in (("late#1", late), ("broken#1", broken)):
        target.aim(occurrence, [rule], [victim])
        target.inject(occurrence, [victim])
        assert target.verify(occurrence, within_s=5)[0].verified
    target.recover("late#1")
    (evidence,) = target.verify_recovered("late#1", within_s=0)
    assert evidence.verified
    assert "another rule that is in force" in evidence.how
    target.recover("broken#1")
    assert target.verify_recovered("broken#1", within_s=5)[0].verified


def test_a_rule_stays_with_its_replica_when_that_restarts_in_place(
    target: LocalTarget, eventually: Eventually
) -> None:
    victim = target.replicas()[0]
    rule = HttpRule("Response", 8000, path="/v1/models", replace=Replacement(code=500))
    target.aim("stays#1", [rule], [victim])
    target.inject("stays#1", [victim])
    port = next(row["port"] for row in target._describe()["replicas"] if row["replica"]["uid"] == victim.uid)
    with pytest.raises(ConnectionError):
        tell(port, exit=3)
    eventually(lambda: not all_ready(target), within_s=20, what="a replica that ended")
    eventually(lambda: all_ready(target), within_s=30, what="a replica that is back")
    assert target.verify("stays#1", within_s=5)[0].verified
    target.recover("stays#1")
    assert target.verify_recovered("stays#1", within_s=5)[0].verified


@pytest.mark.parametrize(
    ("apart", "port", "callers"),
    [
        (True, 8000, ["inference-gateway"]),
        (True, 8081, ["prometheus"]),
        (False, 8000, ["inference-gateway", "prometheus"]),
        (False, 8081, []),
        (True, 80, []),
    ],
)
def test_a_port_of_a_manifest_stands_for_who_calls_there(
    tmp_path: Path, apart: bool, port: int, callers: list[str]
) -> None:
    changes: dict[str, Any] = {} if apart else {"command": ("vllm", "serve", "--port", "{port}")}
    spec = toy_spec(tmp_path, 3, prometheus=True, **changes)
    assert [*naming.calling(spec, port)] == callers
    rule = HttpRule("Request", port, abort=True)
    means = means_of(rule)
    assert means is not None
    reason = means.hindrance(rule, spec)
    assert (reason is None) == bool(callers)
    assert reason is None or "8000 (requests)" in reason


def test_encrypted_messages_are_refused(tmp_path: Path) -> None:
    rule = HttpRule("Request", 8000, abort=True, encrypted=True)
    means = means_of(rule)
    assert means is not None
    assert "encrypted" in (means.hindrance(rule, toy_spec(tmp_path, 3)) or "")


def answered(status: int = 200, took_s: float = 0.01, body: bytes = b'{"a": 1, "id": 7}') -> Answer:
    return Answer("answered", took_s, status, "", (("x-a", "b"),), body)


PROBE = Question("GET", "/x")


@pytest.mark.parametrize(
    ("rule", "through", "direct", "verified", "well"),
    [
        (HttpRule("Request", 1, abort=True), Answer("broken off"), answered(), True, False),
        (HttpRule("Request", 1, abort=True), Answer("silence"), answered(), False, False),
        (HttpRule("Request", 1, abort=True), answered(), answered(), False, True),
        (HttpRule("Request", 1, abort=True), Answer("broken off"), Answer("broken off"), False, True),
        (HttpRule("Request", 1, delay_s=0.5), answered(took_s=0.52), answered(), True, False),
        (HttpRule("Request", 1, delay_s=0.5), answered(took_s=0.52), answered(took_s=0.4), False, True),
        (HttpRule("Request", 1, delay_s=9.0), Answer("silence"), answered(), True, False),
        (HttpRule("Request", 1, delay_s=0.5), Answer("silence"), answered(), False, False),
        (HttpRule("Response", 1, replace=Replacement(code=500)), answered(500), answered(), True, False),
        (HttpRule("Response", 1, replace=Replacement(code=500)), answered(502), answered(), False, False),
    ],
    ids=[
        "broken off",
        "silent instead",
        "answered all the same",
        "broken off without the network too",
        "late",
        "late on a busy machine",
        "later than one waits",
        "silent, and the delay is short",
        "another status",
        "a status that is neither",
    ],
)
def test_what_is_seen_is_judged(
    rule: HttpRule, through: Answer, direct: Answer, verified: bool, well: bool
) -> None:
    of = plan(rule, [PROBE], lambda _: answered(), lambda _: answered(took_s=0.02))
    assert of is not None
    now = Pair(through, direct)
    assert hit("one", rule, of, now).verified is verified
    assert back("one", rule, of, now).verified is well
    other = HttpRule("Response", 1, path="/x", delay_s=1.0)
    assert back("one", rule, of, now, [other]).verified, "it cannot be told beside another rule"
    assert back("one", rule, of, now, [HttpRule("Response", 1, path="/y")]).verified is well


def test_what_was_so_before_the_fault_is_no_proof_of_it() -> None:
    abort = HttpRule("Request", 1, abort=True)
    of = plan(abort, [PROBE], lambda _: answered(), lambda _: Answer("broken off"))
    assert not hit("one", abort, of, Pair(Answer("broken off"), answered())).verified
    delay = HttpRule("Request", 1, delay_s=0.5)
    of = plan(delay, [PROBE], lambda _: answered(), lambda _: answered(took_s=0.4))
    assert not hit("one", delay, of, Pair(answered(took_s=0.6), answered())).verified
    assert hit("one", delay, of, Pair(answered(took_s=0.9), answered())).verified


def test_what_differs_from_answer_to_answer_tells_nothing() -> None:
    numbers = iter(range(100))
    rule = HttpRule("Response", 1, replace=Replacement(body=b'{"a": 2, "id": 999}'))
    ask = lambda _: answered(body=b'{"a": 1, "id": %d}' % next(numbers))  # noqa: E731
    of = plan(rule, [PROBE], ask, ask)
    assert of is not None
    assert of.tells == {"body.a": ("1", "2")}


def test_what_changes_with_time_tells_nothing() -> None:
    rule = HttpRule("Response", 1, replace=Replacement(body=b'{"a": 2}'))
    of = plan(rule, [PROBE], lambda _: answered(body=b'{"a": 1, "created": 7}'), lambda _: answered())
    later = answered(body=b'{"a": 1, "created": 8}')
    assert of is not None
    assert hit("one", rule, of, Pair(answered(body=b'{"a": 2}'), later)).verified
    assert back("one", rule, of, Pair(later, later)).verified
    assert not back("one", rule, of, Pair(answered(body=b'{"a": 2}'), later)).verified
    other = answered(body=b'{"a": 3}')
    assert not hit("one", rule, of, Pair(answered(body=b'{"a": 2}'), other)).verified


def test_a_question_that_has_no_answer_before_the_fault_is_left_for_the_next() -> None:
    rule = HttpRule("Request", 1, abort=True)
    ask = {"/x": Answer("silence"), "/y": answered()}
    of = plan(rule, [PROBE, Question("GET", "/y")], lambda each: ask[each.target], lambda _: answered())
    assert of is not None
    assert of.question.target == "/y"


def test_questions_are_of_the_path_the_method_and_the_headers_of_their_rule() -> None:
    rule = HttpRule("Response", 1, path="/v1/*", request_headers={"Host": "example.com"})
    found = questions(rule, ["/readyz", "/v1/models"], {"x-own": "key"})
    assert [(each.method, each.target) for each in found] == [
        ("GET", "/v1/models"),
        ("GET", "/v1/x"),
        ("POST", "/v1/completions"),
        ("POST", "/v1/chat/completions"),
    ]
    assert all(each.headers["Host"] == "example.com" for each in found)
