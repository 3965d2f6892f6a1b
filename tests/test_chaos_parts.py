"""Parts of a load: a plan that says whose each request is, and claims about some of them."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from chaos.assertions.grammar import parse
from chaos.errors import InputError
from chaos.experiment.claims import claims_need_s
from chaos.experiment.design import require_decidable, sentences
from chaos.experiment.experiment import read_experiment
from chaos.judging.evaluation import evaluate
from chaos.measuring.columns import columns
from chaos.measuring.measurements import Measurements, measure
from chaos.measuring.objectives import Objectives
from chaos.measuring.parts import Labels, Parts
from chaos.measuring.recovery_time import Criteria
from chaos.measuring.timeline import Timeline
from chaos.record.plan_file import read_instants
from chaos.record.verdict import Verdict
from loadtests.completions import request_body
from loadtests.plan import Plan
from loadtests.prompts import prompt_of
from loadtests.spec import LoadSpec
from loadtests.traffic.mix import Part
from loadtests.traffic.sessions import Sessions
from tests.support.killed_run import FAULT, LIFE, row

TENANTS = Path(__file__).parent.parent / "chaos" / "experiments" / "tenants.yaml"
MIX = (
    Part(share=0.6, tenant="a", output_tokens=8),
    Part(share=0.3, profile="chat", tenant="b"),
    Part(share=0.1, profile="agent"),
)


def load(**changes: object) -> LoadSpec:
    given = {"url": "http://x", "rate_per_s": 50.0, "duration_s": 120.0, "seed": 7, "mix": MIX}
    return LoadSpec.model_validate({**given, **changes})


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan.of(load())


def test_a_mix_is_one_plan_in_which_each_part_has_its_share_and_says_whose_it_is(plan: Plan) -> None:
    counts = Counter((each.profile, each.tenant) for each in plan.arrivals)
    assert counts.keys() == {(None, "a"), ("chat", "b"), ("agent", None)}
    for part in MIX:
        assert counts[part.profile, part.tenant] == pytest.approx(part.share * 6000, rel=0.25)
    assert {each.output_tokens for each in plan.arrivals if each.tenant == "a"} == {8}
    assert all(each.session is not None for each in plan.arrivals if each.profile == "agent")


def test_a_part_is_left_as_it_is_by_what_the_others_are(plan: Plan) -> None:
    other = Plan.of(load(mix=(MIX[0], Part(share=0.4, tenant="c"))))
    of_a = [
        [(each.at_s, each.prompt_tokens) for each in one.arrivals if each.tenant == "a"]
        for one in (plan, other)
    ]
    assert of_a[0] == of_a[1]


def test_parts_that_ask_for_the_same_ask_at_other_instants() -> None:
    halves = Plan.of(load(mix=(Part(share=0.5, tenant="a"), Part(share=0.5, tenant="b")))).arrivals
    a, b = ({each.at_s for each in halves if each.tenant == name} for name in "ab")
    assert not a & b


def test_parts_have_no_beginnings_of_prompts_in_common() -> None:
    sessions = Sessions(turns=2, think_s=1.0, system_prompt_tokens=64)
    two = (Part(share=0.5, tenant="a"), Part(share=0.5, tenant="b"))
    for spec in (load(mix=two, prompt_tokens=200), load(mix=two, prompt_tokens=200, sessions=sessions)):
        texts: dict[str | None, set[str]] = {}
        for each in Plan.of(spec).arrivals:
            texts.setdefault(each.tenant, set()).add(prompt_of(each)[:64])
        assert len(texts["a"]) == len(texts["b"]) == 1
        assert not texts["a"] & texts["b"]


def test_a_plans_file_has_the_names_and_is_read_back(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "plan.jsonl"
    plan.write(path)
    assert Plan.read(path) == plan
    parts = read_instants(path).parts
    index = np.arange(len(plan.arrivals))
    assert parts.flags(index, None, "b").tolist() == [each.tenant == "b" for each in plan.arrivals]
    assert parts.pairs == ((None, "a"), ("agent", None), ("chat", "b"))
    line = json.loads(path.read_text().splitlines()[0])
    path.write_text(json.dumps({**line, "tenant": 'a"b'}) + "\n")
    with pytest.raises(ValueError, match="line 1 is no arrival: tenant is"):
        Plan.read(path)


def test_the_tenant_is_sent_along_as_user() -> None:
    assert json.loads(request_body("m", "p", 1, ignore_eos=False, user="a"))["user"] == "a"
    assert "user" not in json.loads(request_body("m", "p", 1, ignore_eos=False))


@pytest.fixture(scope="module")
def kill() -> Measurements:
    """A kill that only tenant b feels: every third request is b's, and all of b's fail for 2 s."""
    rows = [
        row(index, index / 10, "http_503" if index % 3 == 0 and 400 <= index < 420 else "ok")
        for index in range(600)
    ]
    tenants = Labels.of(["b" if index % 3 == 0 else "a" for index in range(600)])
    parts = Parts(Labels.of(["chat"] * 600), tenants)
    run = Timeline(columns(rows), LIFE, 600, 5.0, 60.0, wanted_replicas=2, faults=(FAULT,), parts=parts)
    return measure(run, Objectives(0.5, 1.0), Criteria(window_s=2.0, hold_s=5.0, within_s=12.0))


@pytest.mark.parametrize(
    ("text", "verdict", "observed", "n"),
    [
        ("error_ratio(all) <= 3%", Verdict.PASSED, 6 / 550, 550),
        ("error_ratio(all, tenant=a) <= 3%", Verdict.PASSED, 0.0, 367),
        ("error_ratio(all, tenant=b) <= 3%", Verdict.INCONCLUSIVE, 6 / 183, 183),
        ("error_ratio(after(2s), tenant=b) <= 40%", Verdict.DEVIATED, 6 / 7, 7),
        ("outcome(http_503, all, tenant=a) == 0", Verdict.PASSED, 0, 367),
        ("outcome(http_503, all, profile=chat, tenant=b) == 6", Verdict.PASSED, 6, 183),
        ("p50(ttft, fault, tenant=a) <= 200ms", Verdict.PASSED, 0.1, 29),
        ("goodput(after(2s), tenant=b) >= 70% of baseline", Verdict.DEVIATED, 1 / 7, 7),
        ("requests(all, profile=code) == 0", Verdict.PASSED, 0, 0),
        ("goodput(all, profile=code) >= 5%", Verdict.INCONCLUSIVE, None, 0),
    ],
)
def test_a_claim_about_a_part_rests_on_its_requests_alone(
    text: str, verdict: Verdict, observed: float | None, n: int, kill: Measurements
) -> None:
    result = evaluate(parse(text), kill)
    assert (result.verdict, result.n) == (verdict, n)
    assert result.observed == (None if observed is None else pytest.approx(observed))


def variant(folder: Path, *changes: tuple[str, str]) -> Path:
    text = TENANTS.read_text().replace("../manifests", str(TENANTS.parent.parent / "manifests"))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "experiment.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("baseline, tenant=a)", "baseline, tenant=c)"), r"expected a tenant of this load \(a, b\), not 'c'"),
        (
            ("baseline, tenant=a)", "baseline, profile=chat)"),
            "expected no profile, not 'chat': load.mix names",
        ),
        (
            ("share: 75%", "share: 70%"),
            "load.mix: expected shares that make 100 % together, got '70% [+] 25%'",
        ),
        (("share: 75%,", "share: 75%, profile: chatt,"), "load.mix.0..profile: expected 'chat'"),
        (("tenant: a,", "tenant: 'a b',"), "tenant: "),
        (("  rate: 8", "  rate: 8\n  profile: chat"), "expected none beside a mix, whose parts have theirs"),
    ],
)
def test_a_part_that_the_load_does_not_have_is_refused_with_those_that_it_has(
    change: tuple[str, str], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=complaint.replace(".0.", r"\[0\]")):
        read_experiment(variant(tmp_path, change))


def test_a_claim_whose_part_will_be_too_small_is_refused_before_anything_starts(tmp_path: Path) -> None:
    enough = read_experiment(variant(tmp_path))
    require_decidable(enough)
    small = read_experiment(
        variant(tmp_path, ("p90(ttft, baseline, tenant=a)", "p95(ttft, baseline, tenant=b)"))
    )
    with pytest.raises(
        InputError, match="expected a plan of at least 72 requests of tenant=b for p95, there are about 36"
    ):
        require_decidable(small)


def test_a_plan_says_what_can_be_claimed_of_each_part() -> None:
    told = list(sentences(read_experiment(TENANTS)))
    assert (
        "of tenant=b: P90 in the baseline (36 requests), P90 in the first 30 s after the fault (60)" in told
    )


def test_a_baseline_is_as_long_as_its_claims_about_parts_need() -> None:
    claim = [parse("p95(ttft, baseline, tenant=b) <= 1s")]
    share_of = read_experiment(TENANTS).spec.load.share_of
    assert (
        claims_need_s(claim, 8.0, 2.0, share_of)
        == claims_need_s(claim, 2.0, 2.0)
        > claims_need_s(claim, 8.0, 2.0)
    )
