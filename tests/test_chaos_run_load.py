"""The load is declared once: what an experiment may say of it, what a run makes of that, and what the child is told."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml

from chaos.errors import InputError
from chaos.experiment.experiment import read_experiment, rewrite, write_as_run
from chaos.experiment.file import Load, Timeouts
from chaos.load.config import load_config
from chaos.load.process import LoadConfig
from chaos.run_folder import RunFolder
from loadtests import spec
from loadtests.settings import as_options, settings
from loadtests.spec import LoadSpec, Offered
from tests.support.fake_target import FakeTarget
from tests.test_chaos_run import EXPERIMENT, write_experiment

OFFERED = list(settings(Offered))
IN_FILE = {("timeouts", f"{key}_s"): ("timeouts", key) for key in ("ttft", "stall", "deadline")}


NOTATION = {
    "timeouts",
    "batch_every_s",
    "rate_profile",
    "shared_prefix",
    "sessions",
    "trace",
    "mix",
    "canaries",
}
"""What an experiment says in durations, percents or lists of its own, where `loadtests` has seconds and numbers."""
OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "--burstiness": ({"arrivals": "gamma", "burstiness": 0.5}, "0.5"),
    "--batch-every": ({"batch_every": "1500ms"}, "1.5"),
    "--shared-prefix": ({"shared_prefix": "25%"}, "0.25"),
    "--rate-profile": (
        {"rate_profile": {"spike": {"at": "1m", "lasts": "5s", "factor": 2}}},
        '{"spike":{"at_s":60.0,"lasts_s":5.0,"factor":2.0}}',
    ),
    "--sessions": (
        {"sessions": {"turns": 3, "think": "1s"}},
        '{"turns":3,"think_s":1.0,"think_times":"exponential","lengths":"message","system_prompt_tokens":0,"system_prompts":1}',
    ),
    "--body": ({"body": {"top_k": 3}}, '{"top_k":3}'),
    "--mix": (
        {"mix": [{"share": "40%", "tenant": "a"}, {"share": "60%", "tenant": "b"}]},
        '[{"share":0.4,"tenant":"a"},{"share":0.6,"tenant":"b"}]',
    ),
    "--canaries": (
        {"canaries": {"prompts": [{"prompt": "2+2"}]}},
        '{"every":10,"prompts":[{"prompt":"2+2"}]}',
    ),
    "--trace": (
        {"trace": {"file": "/a/trace.csv", "from": "1m"}},
        '{"file":"/a/trace.csv","from_s":60.0,"speed":1.0,"spread_s":0.0}',
    ),
}
"""Where more than seven added to the default makes another value: what the file says, and the text for the child."""


def changed(kind: Any, default: Any) -> Any:
    """Another value of a setting than its default."""
    if get_origin(kind) is Literal:
        return next(choice for choice in get_args(kind) if choice != default)
    return not default if kind is bool else default + 7


def test_the_section_of_an_experiment_declares_nothing_again() -> None:
    of_a_run = {"profile", "model", "api_key_env"}
    assert set(Offered.model_fields) | {"rate", "capacity"} | of_a_run == set(Load.model_fields)
    assert set(Load.__annotations__) == NOTATION | of_a_run, "only how its durations are written"
    assert not Timeouts.__annotations__
    for name in NOTATION:
        field, of = Load.model_fields[name], Offered.model_fields[name]
        assert field.description == of.description
        assert field.default == of.default or name == "timeouts"
    assert set(LoadConfig.__annotations__) - set(LoadSpec.model_fields) == {"log_path", "marks"}
    for ours, declared in ((Load, Offered), (Timeouts, spec.Timeouts)):
        for name in set(declared.model_fields) - NOTATION:
            field, of = ours.model_fields[name], declared.model_fields[name]
            assert (field.default, field.description, field.annotation, field.metadata) == (
                of.default,
                of.description,
                of.annotation,
                of.metadata,
            ), name


@pytest.mark.parametrize("setting", OFFERED, ids=lambda setting: setting.option.flag)
def test_whatever_an_experiment_says_of_its_load_reaches_the_child(tmp_path: Path, setting: Any) -> None:
    flag = setting.option.flag
    default = getattr(Timeouts() if setting.path[0] == "timeouts" else Offered(), setting.path[-1])
    value: Any
    said, value = OTHER.get(flag, ({}, ""))
    if not said:
        value = changed(setting.type, default)
        *sections, key = IN_FILE.get(setting.path, setting.path)
        said = {sections[0]: {key: f"{value:g}s"}} if sections else {key: value}
    load = Load.model_validate({"rate": 3.0, **said})
    experiment = read_experiment(write_experiment(tmp_path))
    experiment = replace(experiment, spec=experiment.spec.model_copy(update={"load": load}))

    config = load_config(experiment, RunFolder(tmp_path), FakeTarget(), "tiny", 3.0)
    command = as_options(config)

    if setting.type is bool:
        assert (flag in command) == value
    else:
        assert f"{flag}={value}" in command
    others = {each.option.flag for each in OFFERED} - {flag, *(f"--{name}" for name in said)}
    defaults = {name: field.default for name, field in Offered.model_fields.items()}
    unchanged = as_options(config.but(**defaults))
    for words in (command, unchanged):
        words[:] = [word for word in words if word.partition("=")[0] in others]
    assert command == unchanged


def test_the_load_of_a_run_comes_back_from_its_copy_as_it_was(tmp_path: Path) -> None:
    experiment = read_experiment(write_experiment(tmp_path))
    said = {"rate": 3.0, "processes": 2, "timeouts": {"ttft": "1500ms", "stall": "90s"}}
    (tmp_path / "out").mkdir()
    copy = write_as_run(experiment, tmp_path / "out" / "experiment.yaml", seed=5, versions={})
    again = rewrite(copy, copy.spec.model_copy(update={"load": Load.model_validate(said)}))
    assert again.spec.load == Load.model_validate(said)
    written = yaml.safe_load((tmp_path / "out" / "experiment.yaml").read_text())["load"]
    assert written["timeouts"] == {"ttft": "1.5s", "stall": "90s", "deadline": "30s"}
    assert next(iter(written)) == "rate"


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("load: {rate: 5, timeouts: {ttft: 10}}", "load.timeouts.ttft: expected a duration such as"),
        ("load: {rate: 5, timeouts: {ttft: 0s}}", "load.timeouts.ttft: .*above zero"),
        ("load: {rate: 5, timeouts: {ttft_s: 1s}}", r"load.timeouts.ttft_s: unknown key \(did you mean ttft"),
        ("load: {rate: 5, processes: 0}", "load.processes: expected a number from 1, got 0"),
        (
            "load: {rate: 5, plan: mine.jsonl}",
            "load.plan: unknown key, expected one of rate, capacity, arrivals",
        ),
        ("load: {processes: 2}", r"load.rate: expected this key \(requests per second"),
    ],
)
def test_a_load_that_makes_no_sense_is_refused_by_key(tmp_path: Path, said: str, complaint: str) -> None:
    text = EXPERIMENT.replace("load: {rate: 25, output_tokens: 8}", said)
    assert text != EXPERIMENT
    with pytest.raises(InputError, match=complaint):
        read_experiment(write_experiment(tmp_path, text))
