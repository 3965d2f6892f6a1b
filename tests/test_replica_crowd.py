"""The crowd that stands for a thousand replicas: each of its expositions is a real server's, and its counters move."""

import itertools
import subprocess
import sys
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from exporters.series import gpu
from exporters.series.groups import GROUPS
from tests.support.replica_crowd import snapshots

ROOT = Path(__file__).parents[1]


def counters(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.type in ("counter", "histogram")
    }


def test_a_crowds_counters_move_and_never_fall() -> None:
    texts = [taken.decode() for taken in snapshots(4, interval_s=5)]
    for before, after in itertools.pairwise(texts):
        earlier, later = counters(before), counters(after)
        assert earlier.keys() == later.keys()
        assert all(later[key] >= value for key, value in earlier.items())
        grown = {name for (name, _), value in earlier.items() if later[name, _] > value}
        assert {"ds_requests_total", "ds_inference_latency_seconds_count", "ds_cache_hits_total"} <= grown


def test_a_crowd_has_every_family_of_a_server_on_a_gpu() -> None:
    (text,) = snapshots(1, interval_s=5)
    shown = {line.split()[2] for line in text.decode().splitlines() if line.startswith("# TYPE")}
    without_nvlink = [family for family in gpu.FAMILIES if "nvlink" not in family.name]
    assert {family.name for family in (*GROUPS["Inference server"], *without_nvlink)} <= shown


def test_each_of_a_crowd_answers_at_a_path_of_its_own_with_a_device_of_its_own() -> None:
    command = [sys.executable, "-m", "tests.support.replica_crowd", "--replicas", "3", "--seconds", "30"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as crowd:
        try:
            assert crowd.stdout is not None
            port = int(crowd.stdout.readline())
            uuids = set()
            for path in ("0", "1", "2", "gateway"):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
                    text = answer.read().decode()
                uuids |= {part.split('"')[0] for part in text.split('uuid="')[1:]}
            assert len(uuids) == 3
            assert "ds_gateway_replicas_ready 3.0" in text
        finally:
            crowd.terminate()
