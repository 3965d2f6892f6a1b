import hashlib
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.arrivals import instants
from loadtests.plan import Arrival, Plan, plan_of
from loadtests.spec import LoadSpec, Process

URL = "http://127.0.0.1:1"
specs = st.builds(
    LoadSpec,
    url=st.just(URL),
    arrivals=st.sampled_from(get_args(Process)),
    rate_per_s=st.floats(0.5, 200),
    duration_s=st.floats(0.1, 2),
    seed=st.integers(0, 2**32),
    prompt_tokens=st.integers(1, 9999),
    output_tokens=st.integers(1, 9999),
)


def spec(**values: Any) -> LoadSpec:
    return LoadSpec(**{"url": URL, "rate_per_s": 20.0, "duration_s": 1.0, "seed": 7, **values})


@settings(deadline=None)
@given(specs)
def test_a_plan_comes_back_from_its_file_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, load: LoadSpec
) -> None:
    path = tmp_path_factory.mktemp("plan") / "plan.jsonl"
    plan = Plan.of(load)
    plan.write(path)

    if load.arrivals != "gamma":
        assert plan.offsets_s == instants(load.arrivals, load.rate_per_s, load.duration_s, load.seed)
    assert Plan.read(path) == plan
    assert hashlib.sha256(path.read_bytes()).hexdigest() == plan.sha256 == Plan.read(path).sha256
    assert [entry.name for entry in path.parent.iterdir()] == ["plan.jsonl"]


def test_each_line_says_when_and_what_is_asked(tmp_path: Path) -> None:
    Plan.of(spec(prompt_tokens=100, output_tokens=8)).write(tmp_path / "plan.jsonl")
    lines = (tmp_path / "plan.jsonl").read_text().splitlines()
    assert json.loads(lines[1]) == {
        "index": 1,
        "at_s": instants("poisson", 20.0, 1.0, 7)[1],
        "prompt_tokens": 100,
        "output_tokens": 8,
        "seed": 7,
    }


@settings(deadline=None)
@given(specs, st.integers(1, 9))
def test_slices_of_all_workers_are_the_plan_cut_by_index(load: LoadSpec, workers: int) -> None:
    plan = Plan.of(load)
    slices = [plan.slice(worker, workers) for worker in range(workers)]

    together = [arrival for part in slices for arrival in part]
    assert sorted(together, key=lambda arrival: arrival.index) == list(plan.arrivals)
    assert all(arrival.index % workers == worker for worker, part in enumerate(slices) for arrival in part)


def test_equal_loads_give_equal_plans_and_whatever_is_asked_differently_another_one() -> None:
    plan = Plan.of(spec())
    assert Plan.of(spec()).sha256 == plan.sha256
    for change in ({"seed": 8}, {"rate_per_s": 21.0}, {"output_tokens": 33}, {"arrivals": "constant"}):
        assert Plan.of(spec(**change)).sha256 != plan.sha256, change
    for change in ({"max_in_flight": 9}, {"processes": 3}, {"model": "other"}):
        assert Plan.of(spec(**change)).sha256 == plan.sha256, change


def test_the_plan_of_a_load_is_its_file_where_it_has_one(tmp_path: Path) -> None:
    arrivals = (Arrival(0, 0.25, 10, 20, 1), Arrival(1, 0.5, 30, 40, 2))
    Plan(arrivals).write(tmp_path / "plan.jsonl")
    assert plan_of(spec(plan_path=tmp_path / "plan.jsonl")).arrivals == arrivals
    assert plan_of(spec()) == Plan.of(spec())


def test_a_plan_that_goes_on_for_longer_than_its_load_is_refused(tmp_path: Path) -> None:
    Plan((Arrival(0, 2.5, 1, 1, 1),)).write(tmp_path / "plan.jsonl")
    with pytest.raises(
        ValueError, match=r"plan\.jsonl: the last arrival is at 2\.500 s, beyond --duration 1"
    ):
        plan_of(spec(plan_path=tmp_path / "plan.jsonl"))


FIRST = '{"index":0,"at_s":0.5,"prompt_tokens":1,"output_tokens":1,"seed":1}\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (FIRST + "{", "line 2 is no arrival: "),
        (FIRST.replace("seed", "sede"), "line 1 is no arrival: .*sede"),
        (FIRST.replace(',"seed":1', ""), "line 1 is no arrival: .*seed"),
        (FIRST.replace("0.5", '"soon"'), "line 1 is no arrival: at_s is 'soon'"),
        (FIRST.replace("0.5", "true"), "line 1 is no arrival: at_s is True"),
        ("[]\n", "line 1 is no arrival: "),
        (FIRST + FIRST, "arrival 0 stands where 1 belongs"),
        (FIRST + FIRST.replace(":0,", ":1,").replace("0.5", "0.4"), "not in order of their instants"),
        (FIRST + FIRST.replace(":0,", ":1,").replace("0.5", "NaN"), "not in order of their instants"),
        (FIRST.replace("0.5", "-0.5"), "the first arrival is at -0.5 s"),
        (FIRST.replace("0.5", "NaN"), "the first arrival is at nan s"),
    ],
)
def test_a_file_that_is_no_plan_is_refused_with_its_name_and_line(
    tmp_path: Path, text: str, complaint: str
) -> None:
    path = tmp_path / "plan.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=complaint) as refusal:
        Plan.read(path)
    assert str(refusal.value).startswith(f"{path}: ")


def test_more_arrivals_than_anybody_keeps_are_refused_before_any_is_made() -> None:
    with pytest.raises(
        ValueError, match=r"--rate: expected at most 1000 requests a second: 10000 s hold 10,000,000"
    ):
        Plan.of(spec(rate_per_s=1001.0, duration_s=10_000.0))
    with pytest.raises(
        ValueError, match=r"--rate: expected at most 20000 requests a second from 2 of the load's"
    ):
        spec(rate_per_s=20_001.0, processes=2)
