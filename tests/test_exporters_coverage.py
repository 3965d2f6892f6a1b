"""Coverage: which engine this is, what it tells, how finely, and why not the rest; from files and live endpoints."""

import json
from collections.abc import Callable
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from exporters.cli import main
from exporters.exposition import serve
from exporters.inference import InferenceMetrics
from exporters.profiles.coverage import Coverage, coverage
from exporters.profiles.library import ProfileError, profiles
from exporters.profiles.samples import ExpositionError
from exporters.profiles.scraped import scraped_families
from exporters.profiles.signals import SIGNALS
from tests.data.make_expositions import EXPOSITIONS, FAMILIES, exposition, listed

STEMS = sorted(path.stem for path in FAMILIES.glob("*.yaml"))
ENGINE_OF = {stem: stem.split("-")[0] for stem in STEMS}


def covered(text: str, engine: str | None = None) -> Coverage:
    return coverage(scraped_families(text), profiles(), engine=engine)


def committed(stem: str) -> str:
    return (EXPOSITIONS / f"{stem}.txt").read_text()


def answers(told: Coverage) -> dict[str, str]:
    return {signal.signal: signal.answer for signal in told.signals}


def note(told: Coverage, signal: str) -> str:
    return next(one.note for one in told.signals if one.signal == signal)


@pytest.mark.parametrize("stem", STEMS)
def test_the_engine_is_detected_by_its_series_alone(stem: str) -> None:
    told = covered(committed(stem))
    assert told.profile.engine == ENGINE_OF[stem]
    assert told.also == ()
    assert [signal.signal for signal in told.signals] == list(SIGNALS)


@pytest.mark.parametrize(
    ("stem", "signal", "answer", "words"),
    [
        ("vllm-0.33.0", "queue_seconds", "limited", "nothing under 0.3 s, up to 7680 s"),
        ("vllm-0.33.0", "e2e_seconds", "limited", "nothing under 0.3 s"),
        ("vllm-0.33.0", "ttft_seconds", "yes", "0.001 to 2560 s"),
        ("vllm-0.33.0", "comm_seconds", "missing", "only with disaggregated prefill"),
        ("vllm-0.33.0", "gpu_power", "none", "dcgm-exporter"),
        ("vllm-0.12.0", "itl_seconds", "yes", "despite the name"),
        ("vllm-0.12.0", "preemptions", "missing", "another release, or nothing observed yet"),
        ("sglang-0.5.23", "ttft_seconds", "limited", "nothing under 0.1 s"),
        ("sglang-0.5.23", "queue_seconds", "yes", "0.001 to 3000 s"),
        ("sglang-0.5.23", "running", "yes", "stale between"),
        ("tgi-main", "ttft_seconds", "none", "no first token"),
        ("tgi-main", "tpot_seconds", "none", "contains the prefill"),
        ("tgi-main", "request", "yes", ""),
        ("tgi-main", "tokens", "yes", ""),
        ("trtllm-1.2.1", "queue_seconds", "limited", "nothing under 0.3 s"),
        ("trtllm-1.2.1", "itl_seconds", "none", "no histogram of single gaps"),
        ("triton-main", "e2e_seconds", "limited", "means only, no P99"),
        ("triton-main", "ttft_seconds", "missing", "histogram_latencies=true"),
        ("triton-main", "running", "yes", ""),
        ("dcgm-4.8.2", "gpu_xid_events", "limited", "never clears"),
        ("dcgm-4.8.2", "request", "none", "ask the engine"),
        ("nvitop-1.7.2", "gpu_xid_events", "none", "not among nvitop's series"),
    ],
)
def test_each_engine_is_told_what_it_can_and_cannot(stem: str, signal: str, answer: str, words: str) -> None:
    told = covered(committed(stem))
    assert answers(told)[signal] == answer
    assert words in note(told, signal)


@pytest.mark.parametrize("stem", [stem for stem in STEMS if stem != "vllm-0.12.0"])
def test_with_everything_switched_on_nothing_of_a_profile_is_missing(stem: str) -> None:
    told = covered(exposition(listed(FAMILIES / f"{stem}.yaml"), optional=True))
    assert [signal.signal for signal in told.signals if signal.answer == "missing"] == []
    assert not [signal.note for signal in told.signals if "expected" in signal.note]


@pytest.mark.parametrize(
    ("stem", "spelling"),
    [("vllm-0.33.0", "vllm_"), ("vllm-0.33.0", "kserve_vllm:"), ("sglang-0.5.23", "sglang_")],
)
def test_every_spelling_of_an_engine_tells_the_same(stem: str, spelling: str) -> None:
    engine = ENGINE_OF[stem]
    respelled = covered(committed(stem).replace(f"{engine}:", spelling))
    assert answers(respelled) == answers(covered(committed(stem)))
    assert all(family.startswith(spelling) for signal in respelled.signals for family in signal.families)


def test_samples_that_a_client_library_respelled_keep_the_type_of_their_colon_name() -> None:
    """What prometheus_client 0.23 and newer send to Prometheus 2: `vllm_` samples under `vllm:` headers."""
    registry = CollectorRegistry()
    waited = prometheus_client.Histogram(
        "vllm:time_to_first_token_seconds", "x", ["model_name"], registry=registry, buckets=(0.001, 1.0)
    )
    waited.labels("tiny").observe(0.5, exemplar={"trace_id": "a # {b"})
    prometheus_client.Counter("vllm:num_preemptions", "x", registry=registry).inc()
    text = openmetrics(registry, escaping="underscores").decode()  # type: ignore[no-untyped-call]
    assert "vllm_num_preemptions_total 1.0" in text
    families = {family.name: family for family in scraped_families(text)}
    assert families["vllm_num_preemptions_total"].type == "counter"
    assert families["vllm_time_to_first_token_seconds"].type == "histogram"
    assert families["vllm_time_to_first_token_seconds"].edges() == [0.001, 1.0]
    assert answers(covered(text))["ttft_seconds"] == "yes"


def test_two_engines_behind_one_endpoint_are_both_named() -> None:
    text = committed("vllm-0.33.0") + committed("nvitop-1.7.2")
    assert (covered(text).profile.engine, covered(text).also) == ("vllm", ("nvitop",))
    assert covered(text, engine="nvitop").profile.engine == "nvitop"


def test_a_family_of_another_type_than_the_profile_says_is_pointed_out() -> None:
    text = committed("vllm-0.33.0").replace(
        "# TYPE vllm:num_requests_running gauge", "# TYPE vllm:num_requests_running counter"
    )
    assert "declared here as counter, expected gauge" in note(covered(text), "running")


def test_our_own_server_tells_every_inference_signal_that_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = InferenceMetrics("tiny", cache_tiers=("memory",))
    metrics.kv_usage(0.5)
    metrics.engine.preempted(1)
    with serve(metrics.registry, host="127.0.0.1", port=0) as exposition_:
        assert main(["coverage", f"http://127.0.0.1:{exposition_.port}", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["engine"], shown["format"]) == ("reference", 1)
    told = {signal["signal"]: signal["answer"] for signal in shown["signals"]}
    assert {name for name, answer in told.items() if answer == "yes"} == {
        name for name in SIGNALS if not name.startswith("gpu_")
    } - {"comm_seconds"}
    assert told["comm_seconds"] == "missing"


def test_what_a_server_never_told_is_missing_and_the_table_says_who_would_tell_it() -> None:
    text = generate_latest(InferenceMetrics("tiny").registry).decode()
    told = covered(text)
    untold = {"kv_usage": "kv_usage", "prefix_hits": "cache_tiers", "preemptions": "InferenceMetrics.engine"}
    for signal, words in untold.items():
        assert answers(told)[signal] == "missing"
        assert words in note(told, signal)


def test_the_table_holds_every_signal_and_its_resolution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["coverage", str(EXPOSITIONS / "vllm-0.33.0.txt")]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        "vLLM (V1 engine), read by the profile of release 0.33.0: 13 of 27 signals, 2 of them limited"
    )
    assert all(name in shown.split() for name in SIGNALS)
    assert "nothing under 0.3 s" in shown


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "got no sample"),
        ("# TYPE x counter\n", "got no sample"),
        ("<html>\n<body>not here</body>", "line 1: expected a sample of a metric, got '<html>'"),
        ('{"iterLatencyMS": 3}', "line 1: expected a sample"),
        ("up one\n\nup two\n", "line 1: expected a sample of a metric, got 'up one'"),
        ('up{a="b} 1\n', "line 1: expected a sample"),
    ],
)
def test_what_is_no_exposition_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ExpositionError) as refused:
        scraped_families(text)
    assert complaint in str(refused.value)


def test_lines_with_timestamps_exemplars_escapes_and_odd_values_are_read() -> None:
    text = (
        'a{x="\\"}, y=\\"",} NaN 1700000000000\n'
        "b -Inf\n"
        'c_bucket{le="+Inf"} 1e+06 # {trace_id="q"} 0.5 1.7e9\n'
        "d_created 1\n"
    )
    families = scraped_families(text)
    assert [(family.name, family.type) for family in families] == [
        ("a", "untyped"),
        ("b", "untyped"),
        ("c", "histogram"),
    ]
    assert families[0].samples == [{"x": '"}, y="'}]


def test_an_unknown_engine_is_an_error_that_shows_what_was_there() -> None:
    with pytest.raises(
        ProfileError, match=r"expected series of one of dcgm, .* got 1 families: llamacpp:requests"
    ):
        covered("llamacpp:requests 1\n")


def test_an_endpoint_that_refuses_is_an_error_with_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(CollectorRegistry(), host="127.0.0.1", port=0) as exposition_:
        assert main(["coverage", f"http://127.0.0.1:{exposition_.port}/prometheus/metrics"]) == 2
    assert "expected status 200, got 404 Not Found" in capsys.readouterr().err


def test_what_every_reader_of_an_engine_must_know_stands_above_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["coverage", str(EXPOSITIONS / "dcgm-4.8.2.txt")]) == 0
    assert "collected every 30 s unless" in capsys.readouterr().out.split("\nsignal", 1)[0]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["coverage", "none.txt"], "none.txt: expected a URL or a readable file"),
        (["coverage", "http://127.0.0.1:1"], "http://127.0.0.1:1/metrics: expected an endpoint that answers"),
        (["coverage", "README.md", "--engine", "llama"], "engine is one of"),
    ],
)
def test_what_cannot_be_read_ends_with_exit_code_2_and_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert complaint in shown.err


def test_a_profile_of_the_users_own_reads_an_engine_that_we_do_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write_text: Callable[[str, str], Path]
) -> None:
    own = write_text("mine.yaml", OWN)
    served = write_text("mine.txt", "llamacpp:requests_processing 3\n")
    assert main(["coverage", str(served), "--profile", str(own), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["engine"] == "llamacpp"
    assert next(one for one in shown["signals"] if one["signal"] == "running")["answer"] == "yes"


OWN = """\
format: 1
engine: llamacpp
title: llama.cpp
release: b1
detect: "llamacpp:.*"
prefix: "llamacpp:"
endpoint: ":8080/metrics"
signals:
  running: [{name: requests_processing, type: gauge}]
absent:
  - {signals: [request, "*_seconds", waiting, kv_usage, "prefix_*", preemptions, tokens, "gpu_*"], reason: not known}
"""


@pytest.fixture
def write_text(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write
