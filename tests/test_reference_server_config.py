"""Settings from flags and environment, and what is served because of them."""

import json
from pathlib import Path

import pytest

from reference_server.cli import main
from reference_server.config import DECLARED, DEFAULTS, Settings, settings_from, unknown_variables
from reference_server.errors import ConfigError
from reference_server.models.served_model import served_model
from reference_server.models.shapes import NAMED_SHAPES, config_json
from reference_server.models.tokenizer import ANY_BYTE, EOS, PRINTABLE

WORDS = json.dumps({"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}})


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_default() -> None:
    environ = {"DS_PORT": "1", "DS_METRICS_PORT": "2"}
    settings = settings_from({"port": "3"}, environ)
    assert (settings.port, settings.metrics_port, settings.max_queue) == (3, 2, DEFAULTS["max_queue"])


def test_every_setting_has_a_flag_named_as_its_variable() -> None:
    assert DECLARED.keys() == DEFAULTS.keys()
    assert DECLARED["min_step_s"].flag == "--min-step-seconds"
    assert len({setting.variable for setting in DECLARED.values()}) == len(DECLARED)


def test_a_replica_is_named_after_its_host_unless_told_otherwise() -> None:
    assert Settings().replica_name
    assert settings_from({}, {"DS_REPLICA_NAME": "replica-1"}).replica_name == "replica-1"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("DS_PORT", "http", "a port, 0 to 65535"),
        ("DS_PORT", "65536", "a port, 0 to 65535"),
        ("DS_MAX_RUNNING", "0", "a whole number of at least 1"),
        ("DS_MAX_RUNNING", "2.5", "a whole number of at least 1"),
        ("DS_MIN_STEP_SECONDS", "-1", "seconds, 0 to 86400"),
        ("DS_MIN_STEP_SECONDS", "nan", "seconds, 0 to 86400"),
        ("DS_MIN_STEP_SECONDS", "30ms", "seconds, 0 to 86400"),
        ("DS_SEED", "-1", "a whole number, 0 to"),
        ("DS_CACHE_TYPE", "redis", "memory or disk or hybrid"),
        ("DS_SERVING_MODE", "Stream", "stream or batch"),
        ("DS_SCHEDULING", "fifo", "none or window or continuous"),
        ("DS_WINDOW_SECONDS", "100ms", "seconds, 0 to 86400"),
        ("DS_METRICS", "false", "on or off"),
        ("DS_MODEL_PATH", "", "the path of a folder"),
    ],
)
def test_a_value_that_is_not_understood_is_refused_with_name_value_and_expectation(
    variable: str, value: str, expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from({}, {variable: value})
    assert str(caught.value).startswith(f"{variable}: {expected}")
    assert str(caught.value).endswith(repr(value))


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"DS_CACHE_TYPE": "disk"}, "DS_CACHE_TYPE: only memory is available yet, not 'disk'"),
        ({"DS_CACHE_TYPE": "hybrid"}, "DS_CACHE_TYPE: only memory is available yet, not 'hybrid'"),
        ({"DS_STEP_TOKENS": "16"}, "DS_STEP_TOKENS: at least DS_MAX_RUNNING (32) is expected, not 16"),
    ],
    ids=str,
)
def test_values_that_cannot_be_served_are_refused(environ: dict[str, str], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_from({}, environ)
    assert str(caught.value) == complaint


def test_variables_that_only_look_like_settings_are_named() -> None:
    assert unknown_variables({"DS_PROT": "1", "DS_PORT": "1", "PATH": ""}) == ["DS_PROT"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--port", "x"], "--port: a port"),
        (["--model-name", "huge"], "DS_MODEL_NAME: one of tiny, small, 135m, 1b, 8b is expected, not 'huge'"),
        (["--model-path", "/nowhere"], "/nowhere"),
        (["--prot", "1"], "unrecognized arguments: --prot"),
    ],
    ids=str,
)
def test_the_command_line_refuses_with_exit_code_2(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses = ["--host", "127.0.0.1", "--port", "0", "--metrics", "off"]
    try:
        code = main([*addresses, *argv])
    except SystemExit as leaving:
        code = int(str(leaving.code))
    assert code == 2
    assert said in capsys.readouterr().err


def test_help_shows_every_flag_with_its_variable_and_teaches_by_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for setting in DECLARED.values():
        assert setting.flag in shown
        assert f"[{setting.variable}]" in shown
    assert "examples:" in shown


def test_random_weights_answer_as_long_as_they_are_asked_to_in_printable_characters() -> None:
    served = served_model(Settings(model_name="small"))
    assert (served.name, served.weights, served.alphabet, served.shape.eos) == ("small", None, PRINTABLE, ())


def test_one_file_is_served_in_the_named_shape(tmp_path: Path) -> None:
    file = tmp_path / "any.safetensors"
    file.touch()
    served = served_model(Settings(model_path=file))
    assert (served.name, served.shape, served.weights) == ("tiny", NAMED_SHAPES["tiny"], file)
    assert (served.alphabet, served.shape.eos) == (ANY_BYTE, (EOS,))


def test_a_folder_is_served_under_its_own_name_or_the_one_given(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config_json(NAMED_SHAPES["small"])))
    served = served_model(Settings(model_path=folder))
    assert (served.name, served.shape) == ("my-model", NAMED_SHAPES["small"])
    assert served.weights == folder / "model.safetensors"
    assert served_model(Settings(model_path=folder, model_name="other")).name == "other"


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("tokenizer.json", "", "tokenizer.json: a tokenizer file is expected"),
        ("tokenizer.json", WORDS, "tokenizer.json: decoder: 'ByteLevel' is expected, not 'NoneType'"),
        ("tokenizer.model", "", "tokenizer.json is expected beside tokenizer.model"),
    ],
    ids=["no tokenizer", "another kind", "SentencePiece alone"],
)
def test_a_tokenizer_that_cannot_be_streamed_is_refused(
    file: str, content: str, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config_json(NAMED_SHAPES["small"])))
    (tmp_path / file).write_text(content)
    with pytest.raises(ConfigError, match=complaint):
        served_model(Settings(model_path=tmp_path))


def test_weights_may_lie_in_several_files_behind_an_index(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config_json(NAMED_SHAPES["small"])))
    (tmp_path / "model.safetensors.index.json").touch()
    weights = served_model(Settings(model_path=tmp_path)).weights
    assert weights == tmp_path / "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("settings", "longest"),
    [
        (Settings(), 1024),
        (Settings(max_context=10_000), NAMED_SHAPES["tiny"].max_context),
        (Settings(kv_tokens=100), 100),
    ],
    ids=["as set", "as the model allows", "as the KV cache holds"],
)
def test_the_longest_sequence_is_bounded_by_setting_model_and_kv_cache(
    settings: Settings, longest: int
) -> None:
    assert served_model(settings).longest == longest
