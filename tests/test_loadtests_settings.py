"""The declared load as options: what is written for a command line is what is read from one."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.settings import add_arguments, as_options, endpoint, read, settings
from loadtests.spec import LoadSpec, Timeouts
from loadtests.traffic.lengths import Lengths
from loadtests.traffic.mix import Part
from loadtests.traffic.profiles import PROFILES
from loadtests.traffic.rate_profile import RateProfile, Spike, Step
from loadtests.traffic.sessions import Sessions
from loadtests.traffic.traces import Trace


class Parser(ArgumentParser):
    """Locust's own knows which options the web form shows; importing it would patch this process."""

    def __init__(self) -> None:
        self.shown: set[str] = set()
        super().__init__()

    def add_argument(self, *names: str, **options: Any) -> Any:
        if options.pop("include_in_web_ui", True):
            self.shown.update(names)
        return super().add_argument(*names, **options)


def parse(*options: str) -> Namespace:
    parser = Parser()
    add_arguments(parser)
    return parser.parse_args(options)


seconds = st.floats(0.001, 1e4)
specs = st.builds(
    LoadSpec,
    url=st.sampled_from(["http://host", "https://host:8443/team/v1"]),
    model=st.sampled_from(["", "tiny", "org/a-model"]),
    arrivals=st.sampled_from(["poisson", "constant"]),
    rate_per_s=st.floats(1.0, 1e4),
    rate_from_per_s=st.floats(0, 0.99),
    duration_s=seconds,
    seed=st.integers(-(2**63), 2**63),
    prompt_tokens=st.integers(1, 10**6),
    output_tokens=st.integers(1, 10**6),
    ignore_eos=st.booleans(),
    max_in_flight=st.integers(1, 10**6),
    timeouts=st.builds(Timeouts, ttft_s=seconds, stall_s=seconds, deadline_s=seconds),
    drain_s=st.floats(0, 1e4),
    plan_path=st.sampled_from([None, Path("/a/plan.jsonl")]),
    rows_path=st.just(Path("/a/rows of a run")),
    summary_path=st.sampled_from([None, Path("/a/load.json")]),
)


@given(specs)
def test_options_written_for_a_load_are_read_as_that_load(spec: LoadSpec) -> None:
    words = [word for word in as_options(spec) if not word.startswith("--host=")]
    assert read(spec.url, parse(*words)) == spec


TRAFFIC: tuple[dict[str, Any], ...] = (
    {"arrivals": "gamma", "burstiness": 0.25},
    {
        "mix": (
            Part(share=0.7, tenant="a", profile="chat"),
            Part(share=0.3, output_tokens=Lengths(median=9.0, sigma=1.0)),
        )
    },
    {"batch_every_s": 3.0, "shared_prefix": 0.25, "length_scale": 0.1},
    {"prompt_tokens": Lengths(median=100.0, sigma=1.0, at_most=4000)},
    {"output_tokens": Lengths(quantiles={"p0": 1, "p99.9": 9, "p100": 10})},
    {"rate_profile": RateProfile(spike=Spike(at_s=10.0, lasts_s=5.0, factor=3.0))},
    {"rate_profile": RateProfile(steps=(Step(at_s=1.0, factor=2.0), Step(at_s=2.0, factor=0.5)))},
    {"sessions": Sessions(turns=Lengths(median=3.0, sigma=0.5), think_s=2.0)},
    {"trace": Trace(file=Path("/a/trace.csv"), from_s=60.0, speed=2.0)},
    dict(PROFILES["agent"]),
    dict(PROFILES["code"]),
)


@pytest.mark.parametrize("traffic", TRAFFIC, ids="+".join)
def test_traffic_of_every_kind_goes_through_options_unchanged(traffic: dict[str, Any]) -> None:
    spec = LoadSpec(**{"url": "http://host", "rate_per_s": 1.0, "duration_s": 1.0, "seed": 1, **traffic})
    assert read(spec.url, parse(*(word for word in as_options(spec) if word[:7] != "--host="))) == spec


def test_a_profile_sets_what_is_left_as_it_is() -> None:
    chat = read("http://host", parse("--traffic=chat", "--rate=9", "--output-tokens=16"))
    assert (chat.rate_per_s, chat.arrivals, chat.output_tokens) == (9.0, "gamma", 16)
    assert chat.prompt_tokens == PROFILES["chat"]["prompt_tokens"]
    assert chat.rate_profile == PROFILES["chat"]["rate_profile"]
    assert read("http://host", parse("--traffic=code")).rate_per_s == 2.57
    with pytest.raises(SystemExit):
        parse("--traffic=chatty")


def test_processes_and_host_are_options_of_locusts_own() -> None:
    spec = LoadSpec(url="http://host", rate_per_s=1.0, duration_s=1.0, seed=1, processes=3)
    assert {"--host=http://host", "--processes=3"} <= set(as_options(spec))
    assert not any(word.startswith("--processes") for word in as_options(spec.but(processes=1)))
    with pytest.raises(SystemExit):
        parse("--processes=3")


def test_what_a_person_leaves_out_is_what_the_declaration_says() -> None:
    spec = read("http://host", parse())
    assert (spec.rate_per_s, spec.duration_s, spec.seed, spec.ignore_eos) == (5.0, 60.0, 42, False)
    for name in (
        "arrivals",
        "prompt_tokens",
        "output_tokens",
        "max_in_flight",
        "timeouts",
        "drain_s",
        "rows_path",
    ):
        assert getattr(spec, name) == LoadSpec.model_fields[name].default, name


def test_every_setting_is_an_option_with_its_meaning_and_only_what_programs_set_is_not_in_the_form(
    capsys: pytest.CaptureFixture[str],
) -> None:
    declared = list(settings())
    parser = Parser()
    add_arguments(parser)
    parser.print_help()
    told = " ".join(capsys.readouterr().out.split())
    for setting in declared:
        assert setting.meaning, setting.path
        if setting.option.own:
            assert setting.option.flag in told
            assert setting.meaning in told
            assert (setting.option.flag in parser.shown) == setting.option.shown
    assert len({setting.option.flag for setting in declared}) == len(declared) > 15
    assert "--exit-with-parent-fd" not in parser.shown
    leaves = {*LoadSpec.model_fields, *Timeouts.model_fields} - {"timeouts"}
    assert leaves == {setting.path[-1] for setting in declared}, "a setting without an option"


def test_the_api_key_comes_from_the_environment_and_is_in_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    spec = read("http://host/team", parse("--rate=20"))
    assert (endpoint(spec).prefix, endpoint(spec).api_key) == ("/team", "sk-1")
    assert not any("sk-1" in word for word in as_options(spec))


@pytest.mark.parametrize(
    ("host", "options", "complaint"),
    [
        ("http://host", "--rate=0", "--rate must be greater than 0, not 0.0"),
        ("http://host", "--rate=nan", "--rate must be a finite number, not nan"),
        ("http://host", "--rate=1 --rate-from=1", "--rate-from must be below --rate, not 1 of 1"),
        ("http://host", "--burstiness=0.5", "--burstiness: expected none with poisson arrivals: .*, not 0.5"),
        ("http://host", "--sessions={", "--sessions must be JSON, not '{'"),
        ("http://host", '--sessions={"turns":3}', "--sessions: think_s is required"),
        (
            "http://host",
            '--prompt-tokens={"median":3}',
            "--prompt-tokens must be either median and sigma, or",
        ),
        ("http://host", "--prompt-tokens=many", "--prompt-tokens must be JSON, not 'many'"),
        ("http://host", '--rate-profile={"spike":{"at_s":1.0}}', "--rate-profile: spike.lasts_s is required"),
        ("http://host", "--duration=-1", "--duration must be greater than 0, not -1.0"),
        ("localhost", "--rate=1", "expected a base URL such as http://127.0.0.1:8000, not 'localhost'"),
        (None, "--rate=1", "expected a base URL such as http://127.0.0.1:8000, not ''"),
        ("http://host", "--max-in-flight=0", "--max-in-flight must be greater than or equal to 1, not 0"),
        ("http://host", "--output-tokens=0", "--output-tokens must be greater than or equal to 1, not 0"),
        ("http://host", "--prompt-tokens=-3", "--prompt-tokens must be greater than or equal to 1, not -3"),
        ("http://host", "--ttft-timeout=0", "--ttft-timeout must be greater than 0, not 0.0"),
        ("http://host", "--summary=load.json", "--summary is made from rows: it needs --rows"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(
    host: str | None, options: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        read(host, parse(*options.split()))
