"""Traffic as an experiment file says it: understood or refused, told by `validate`, and kept in the run folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from chaos.errors import InputError
from chaos.experiment.experiment import Experiment, read_experiment, rewrite, write_as_run
from chaos.load import rate
from chaos.load.config import load_config
from chaos.load.process import Load, LoadConfig
from chaos.measuring.objectives import Objectives
from chaos.run_folder import RunFolder
from chaos.steady_state import overdue, overloaded
from chaos.validation import validate
from loadtests.plan import Plan
from loadtests.prompts import prompt_of
from loadtests.rows import read_rows
from loadtests.traffic.profiles import PROFILES
from loadtests.traffic.sessions import Sessions
from loadtests.traffic.steady import steady
from loadtests.turns import starts_s
from tests.support.fake_target import FakeTarget
from tests.support.scripted_server import ScriptedServer

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(
    f"2024-05-10 10:{second // 60:02}:{second % 60:02}.5,{500 + second},{second}\n" for second in range(300)
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sham.yaml").write_text(
        (Path(__file__).parent.parent / "chaos" / "manifests" / "sham-30.yaml").read_text()
    )
    (tmp_path / "trace.csv").write_text(AZURE)
    return tmp_path


def read(folder: Path, load: dict[str, Any], **changes: Any) -> Experiment:
    path = folder / "experiment-of-mine.yaml"
    values = {
        "experiment": "traffic",
        "hypothesis": "It holds.",
        "target": {"external": {"url": "http://127.0.0.1:1"}},
        "seed": 7,
        "load": load,
        "phases": {"baseline": "30s", "observe": "45s"},
        "faults": [],
        "assertions": ["disturbances == 0"],
        **changes,
    }
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return read_experiment(path)


def plan(experiment: Experiment, folder: Path) -> Plan:
    return Plan.of(load_config(experiment, RunFolder(folder), FakeTarget(), "tiny", rate.of(experiment)))


LOADS: dict[str, dict[str, Any]] = {
    "gamma": {"rate": 9, "arrivals": "gamma", "burstiness": 0.25},
    "batches": {"rate": 9, "batch_every": "3s", "shared_prefix": "25%"},
    "lengths": {
        "rate": 9,
        "prompt_tokens": {"median": 80, "sigma": 1.0, "at_most": 4000},
        "length_scale": 0.5,
    },
    "tables": {"rate": 9, "output_tokens": {"quantiles": {"p0": 1, "p50": 9, "p100": 10}}},
    "spike": {"rate": 9, "rate_profile": {"spike": {"at": "40s", "lasts": "5s", "factor": 4}}},
    "steps": {"rate": 9, "rate_profile": {"steps": [{"at": "0s", "factor": 2}, {"at": "40s", "factor": 1}]}},
    "ramp": {"rate": 9, "rate_profile": {"ramp": {"from_factor": 0.5, "to_factor": 2}}},
    "on/off": {
        "rate": 9,
        "rate_profile": {"on_off": {"on": "5s", "off": "10s", "factor": 3, "random": True}},
    },
    "diurnal": {"rate": 9, "rate_profile": {"diurnal": {"period": "1m", "amplitude": 0.5}}},
    "drift": {"rate": 9, "rate_profile": {"drift": {"spread": 0.3, "over": "20s"}}},
    "sessions": {"rate": 9, "sessions": {"turns": 4, "think": "2s", "system_prompt_tokens": 50}},
    "trace": {"trace": {"file": "trace.csv", "from": "1m", "speed": 2}},
    "a trace to its end": {"trace": {"file": "trace.csv", "from": "1m", "to": "179500ms", "speed": 1.49375}},
    **{name: {"profile": name} for name in PROFILES},
    "a profile, changed": {"profile": "code", "rate": 20, "arrivals": "poisson", "prompt_tokens": 64},
}
loads = pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)


@loads
def test_a_run_folder_holds_all_that_the_same_plan_is_made_of(folder: Path, load: dict[str, Any]) -> None:
    experiment = read(folder, load)
    run = folder / "runs" / "one"
    run.mkdir(parents=True)
    copy = write_as_run(experiment, run / "experiment.yaml", seed=7, versions={})
    wanted = plan(experiment, folder)
    assert plan(copy, run).sha256 == wanted.sha256
    assert len(wanted.arrivals) > 50

    moved = run.rename(folder / "moved")
    (folder / "trace.csv").unlink()
    again = read_experiment(moved / "experiment.yaml")
    assert plan(again, moved).sha256 == wanted.sha256
    assert rewrite(again, again.spec).spec == again.spec


def test_a_profile_gives_what_is_left_out_and_nothing_else(folder: Path) -> None:
    chat = read(folder, {"profile": "chat"}).spec.load
    assert chat.rate_per_s == 5.53
    assert chat.prompt_tokens == PROFILES["chat"]["prompt_tokens"]
    changed = read(folder, {"profile": "chat", "rate": "60% of capacity", "output_tokens": 16}).spec.load
    assert (str(changed.rate), changed.output_tokens) == ("60% of capacity", 16)
    assert changed.prompt_tokens == chat.prompt_tokens


def test_what_comes_of_a_trace_is_what_it_says_at_its_speed(folder: Path) -> None:
    experiment = read(folder, {"trace": {"file": "trace.csv", "from": "1m", "speed": 2}})
    assert experiment.spec.load.rate_per_s == pytest.approx(2.0, rel=0.01)
    first = plan(experiment, folder).arrivals[0]
    assert (first.at_s, first.prompt_tokens, first.output_tokens) == (0.0, 560, 60)


@pytest.mark.parametrize(
    ("load", "complaint"),
    [
        (
            {},
            "load.rate: expected this key (requests per second, or `N% of capacity`; a profile or a trace has its own)",
        ),
        ({"profile": "chatty"}, "load.profile: expected 'chat', 'code', 'agent' or 'batch', got chatty"),
        (
            {"rate": 9, "burstiness": 0.5},
            "load.burstiness: expected none with poisson arrivals: it is the shape",
        ),
        (
            {"rate": 9, "arrivals": "gamma", "burstiness": 0},
            "load.burstiness: expected a number above 0, got 0",
        ),
        ({"rate": 9, "prompt_tokens": 0}, "load.prompt_tokens: expected a number from 1, got 0"),
        ({"rate": 9, "prompt_tokens": "64"}, "load.prompt_tokens: expected a whole number, got '64'"),
        (
            {"rate": 9, "prompt_tokens": {"median": 5}},
            "load.prompt_tokens: expected either median and sigma, or quantiles",
        ),
        (
            {"rate": 9, "prompt_tokens": {"meridian": 5}},
            "load.prompt_tokens.meridian: unknown key (did you mean median?)",
        ),
        (
            {"rate": 9, "output_tokens": {"quantiles": {"p50": 5}}},
            "load.output_tokens: expected quantiles named p0 to p100, with both ends",
        ),
        (
            {"rate": 9, "rate_profile": {}},
            "load.rate_profile: expected exactly one of on_off, steps, ramp, spike",
        ),
        (
            {"rate": 9, "rate_profile": {"spike": {"at": 5, "lasts": "5s", "factor": 2}}},
            "load.rate_profile.spike.at: expected a duration such as 250ms, 15s or 1m30s, got 5",
        ),
        (
            {"rate": 9, "rate_profile": {"spike": {"at": "5s", "lasts": "0s", "factor": 2}}},
            "load.rate_profile.spike.lasts: expected a duration such as 250ms, 15s or 1m30s, above zero, got 0s",
        ),
        (
            {"rate": 9, "rate_profile": {"spike": {"att": "5s"}}},
            "load.rate_profile.spike.att: unknown key (did you mean at?), expected one of at, lasts, factor",
        ),
        (
            {"rate": 9, "sessions": {"turns": 3}},
            "load.sessions.think: expected this key (from the end of an answer",
        ),
        (
            {"rate": 9, "batch_every": "3s", "sessions": {"turns": 3, "think": "1s"}},
            "load.batch_every: expected none with sessions",
        ),
        (
            {"rate": 9, "trace": {"file": "trace.csv"}},
            "load.rate: expected none with a trace, which has its own",
        ),
        ({"trace": {"file": "none.csv"}}, "load.trace.file: expected a file that can be read: No such file"),
        (
            {"trace": {"file": "trace.csv", "speed": 4}},
            "trace.csv: the window lasts 299 s, the load 80 s at speed 4 needs 320 s",
        ),
        ({"trace": {"file": "sham.yaml"}}, "sham.yaml:1: expected a header with TIMESTAMP"),
        ({"trace": {"file": "trace.csv"}, "profile": "chat"}, "load.profile: expected none with a trace"),
        (
            {"trace": {"file": "trace.csv"}, "sessions": {"turns": 3, "think": "1s"}},
            "load.sessions: expected none with a trace, which has its own instants",
        ),
        (
            {"trace": {"file": "trace.csv"}, "prompt_tokens": {"median": 5, "sigma": 1.0}},
            "load.prompt_tokens: expected none with a trace, which has its own lengths",
        ),
    ],
)
def test_traffic_that_makes_no_sense_is_refused_with_file_line_key_path_and_expectation(
    folder: Path, load: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InputError) as refusal:
        read(folder, load)
    assert complaint in str(refusal.value)
    assert str(refusal.value).startswith(str(folder / "experiment-of-mine.yaml:"))


@pytest.mark.parametrize(
    ("load", "told"),
    [
        (
            {"rate": 10, "arrivals": "constant"},
            "longest gap 0.1 s, CV 0.00, dispersion 0 in 1 s; prompts 64, answers 32 tokens",
        ),
        ({"rate": "60% of capacity"}, "traffic: open loop; 60% of capacity; prompts 64, answers 32 tokens"),
        ({"profile": "agent"}, " sessions, wait for the answer before them; "),
        ({"trace": {"file": "trace.csv"}}, "longest gap 1 s, CV 0.00"),
    ],
)
def test_validate_tells_what_the_traffic_is_like(
    folder: Path, load: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    read(folder, load)
    assert validate([folder / "experiment-of-mine.yaml"]) == 0
    assert told in capsys.readouterr().out


def test_validate_tells_what_is_odd_in_a_trace(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(folder, {"trace": {"file": "trace.csv"}})
    assert validate([folder / "experiment-of-mine.yaml"]) == 0
    assert (
        f"  trace: {folder / 'trace.csv'}:2: an answer of 0 tokens; 1 row asked with 1\n"
        in capsys.readouterr().out
    )


@loads
def test_capacity_is_measured_with_the_same_lengths_one_by_one_at_an_even_rate(
    folder: Path, load: dict[str, Any]
) -> None:
    experiment = read(folder, load)
    config = load_config(experiment, RunFolder(folder), FakeTarget(), "tiny", rate.of(experiment))
    even = config.but(**steady(config), rate_per_s=100.0, duration_s=30.0, rate_from_per_s=1.0)
    asked, there = Plan.of(even).arrivals, Plan.of(config).arrivals
    assert not any(each.session is not None or each.blocks for each in asked)
    means = [sum(each.output_tokens for each in some) / len(some) for some in (asked, there)]
    assert means[0] == pytest.approx(means[1], rel=0.35)


def test_turns_that_wait_for_others_are_no_sign_of_a_cluster_that_is_silent() -> None:
    objectives, at_s = Objectives(ttft_s=0.5, e2e_s=1.0), [index / 40 for index in range(400)]
    turns = frozenset(range(10, 400))
    assert overloaded([], at_s, 10.0, objectives, 0.95) is not None
    assert overloaded([], at_s, 10.0, objectives, 0.95, turns) is None
    assert overdue([], at_s, 0.0, 10.0, objectives) == 360
    assert overdue([], at_s, 0.0, 10.0, objectives, turns) == 10, (
        "what has its own instant is overdue as ever"
    )


@pytest.mark.parametrize("processes", [1, 2])
def test_sessions_are_played_turn_by_turn_each_after_the_answer_before(
    tmp_path: Path, processes: int
) -> None:
    config = LoadConfig(
        url="",
        model="tiny",
        rate_per_s=40.0,
        duration_s=2.0,
        seed=5,
        processes=processes,
        sessions=Sessions(turns=5, think_s=0.1, system_prompt_tokens=30),
        plan_path=tmp_path / "plan.jsonl",
        rows_path=tmp_path / "requests.jsonl",
        summary_path=tmp_path / "load.json",
        log_path=tmp_path / "locust.log",
    )
    with ScriptedServer() as server, Load(config.but(url=server.url())) as load:
        load.start()
        load.wait(within_s=60)
        asked = {json.loads(body)["messages"][0]["content"] for _, _, body in server.requests if body}
    rows = sorted(read_rows(config.rows_path), key=lambda row: row.index)
    assert [row.index for row in rows] == list(range(len(load.plan.arrivals)))
    sent = [row for row in rows if row.dispatched_s is not None]
    assert {row.outcome for row in sent} == {"ok"}
    assert len(sent) > 0.8 * len(rows)
    assert asked == {prompt_of(load.plan.arrivals[row.index]) for row in sent}

    intended_s = np.array([row.intended_s for row in rows])
    ended_s = np.array([np.nan if row.ended_s is None else row.ended_s for row in rows])
    wanted_s = starts_s(load.plan, intended_s, ended_s)
    for row in rows:
        if row.dispatched_s is not None:
            assert row.intended_s == pytest.approx(wanted_s[row.index], abs=3e-6)
        else:
            assert (row.outcome, row.intended_s >= 2.0) == ("censored", True), "not due before the end"
