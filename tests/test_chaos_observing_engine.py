"""Which engine the replicas are, as their own series say, and what follows from it for a run."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from chaos.collecting.engine import recognised
from exporters.exposition import serve
from exporters.inference import InferenceMetrics
from tests.data.make_expositions import EXPOSITIONS


class Served(BaseHTTPRequestHandler):
    text = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Served)
    thread = threading.Thread(target=server.serve_forever, args=[0.02])
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    server.server_close()
    thread.join()


def test_our_own_server_is_no_news_and_its_rules_are_those_for_live_runs() -> None:
    with serve(InferenceMetrics("tiny").registry, host="127.0.0.1", port=0) as exposition:
        engine = recognised([f"http://127.0.0.1:{exposition.port}/metrics"])
    assert not engine.is_foreign
    assert engine.journaled() == {"engine": "reference"}
    rules = engine.live_rules()
    assert rules is not None
    assert any(group["name"] == "inf:reference" for group in yaml.safe_load(rules.read_text())["groups"])


def test_a_foreign_engine_is_named_with_what_it_cannot_tell(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Served, "text", (EXPOSITIONS / "vllm-0.33.0.txt").read_text())
    engine = recognised([url])
    assert (engine.is_foreign, engine.name) == (True, "vllm")
    assert "gpu_power" in engine.explained(118)
    journaled = engine.journaled()
    assert (journaled["engine"], journaled["source"]) == ("vllm", url)
    answers = {signal["signal"]: signal["answer"] for signal in journaled["signals"]}
    assert (answers["ttft_seconds"], answers["queue_seconds"], answers["gpu_power"]) == (
        "yes",
        "limited",
        "none",
    )


def test_rules_for_our_own_series_are_never_evaluated_on_another_engines(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would alert on every signal as missing."""
    monkeypatch.setattr(Served, "text", (EXPOSITIONS / "tgi-main.txt").read_text())
    rules = recognised([url]).live_rules()
    assert rules is None or "ds_requests_total" not in rules.read_text()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("llamacpp:requests 1\n", "expected series of one of"),
        ("<html>", "expected a sample"),
        ("", "got no sample"),
    ],
)
def test_series_that_nobody_knows_are_said_to_be_that(
    url: str, text: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Served, "text", text)
    engine = recognised([url])
    assert (engine.name, engine.is_foreign, engine.live_rules()) == ("unknown", True, None)
    assert reason in engine.explained(118)
    assert engine.journaled()["engine"] == "unknown"


def test_a_replica_that_does_not_answer_leaves_the_question_to_the_next(
    url: str, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Served, "text", (EXPOSITIONS / "vllm-0.33.0.txt").read_text())
    assert recognised([f"http://127.0.0.1:{free_port}/metrics", url]).name == "vllm"
    assert "refused" in recognised([f"http://127.0.0.1:{free_port}/metrics"]).reason.lower()
    assert recognised([]).reason == "no replica serves series"


def test_the_rules_are_package_data_of_the_dashboards() -> None:
    """A wheel takes whole folders: what a run loads must lie inside the package."""
    with serve(InferenceMetrics("tiny").registry, host="127.0.0.1", port=0) as exposition:
        rules = recognised([f"http://127.0.0.1:{exposition.port}/metrics"]).live_rules()
    assert rules == Path(__file__).parents[1] / "dashboards" / "generated" / "live.rules.yaml"
