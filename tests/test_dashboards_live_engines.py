"""The dashboards of every engine, asked of a real Prometheus that scrapes what such engines publish."""

import math
import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from chaos.collecting import series as kept_series
from chaos.prometheus import PrometheusClient
from chaos.report.kept import of_series
from chaos.targets.local.ports import free_port
from chaos.targets.local.prometheus import find_prometheus
from dashboards import engines
from dashboards.boards.catalogue import dashboards
from dashboards.boards.panels import Note, Query
from dashboards.config import bound
from dashboards.engines import REFERENCE, engine_of
from exporters.profiles.library import profile
from exporters.series.jobs import REPLICA_JOB
from tests.conftest import wait_until
from tests.data.make_expositions import FAMILIES, exposition, listed

RELEASES = {
    path.stem.split("-")[0]: exposition(listed(path), optional=True)
    for path in sorted(FAMILIES.glob("*.yaml"))
    if path.stem != "vllm-0.12.0"
}
JOBS = {**RELEASES, "vllm-underscored": RELEASES["vllm"].replace("vllm:", "vllm_")}
"""What each scrape job serves: an engine by its name, and vLLM as client libraries may spell it."""
SERVED = {**JOBS, REPLICA_JOB: RELEASES["vllm"]}
"""And vLLM once more as the replicas of a local run."""
ASKED = [
    (job, query, f"{job}: {name}: {panel.title}: {query.legend}")
    for job in JOBS
    for name, dashboard in dashboards(engine_of(profile(job.split("-")[0]))).items()
    for panel in dashboard.panels
    for query in panel.queries
    if "ds_" not in query.expression.text  # what runs beside the engine is asked in test_dashboards_live.py
]


def later(text: str, scrapes: int) -> str:
    """The exposition after so many scrapes: what counts has counted on, the rest stands."""
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))

    def sample(found: re.Match[str]) -> str:
        family = re.sub(r"_(bucket|sum|count)$", "", found[1])
        counts = types.get(found[1], types.get(family, "")) in ("counter", "histogram", "summary")
        return f"{found[1]}{found[2] or ''} {float(found[3]) * (scrapes if counts else 1)}"

    return re.sub(r"^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$", sample, text, flags=re.MULTILINE)


@contextmanager
def published(texts: Mapping[str, str]) -> Iterator[int]:
    """Serve each text under `/<job>`, further on at every scrape; the port."""
    scrapes: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            job = self.path.strip("/")
            scrapes[job] += 1
            body = later(texts[job], scrapes[job]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusClient]:
    folder, port = tmp_path_factory.mktemp("engines"), free_port(())
    with published(SERVED) as served:
        jobs = [
            {
                "job_name": job,
                "metrics_path": f"/{job}",
                "static_configs": [{"targets": [f"127.0.0.1:{served}"], "labels": {"pod": "a"}}],
            }
            for job in SERVED
        ]
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "900ms"}, "scrape_configs": jobs}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = [
            *(find_prometheus(), f"--config.file={folder / 'prometheus.yml'}", "--log.level=error"),
            *(f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"),
        ]
        with subprocess.Popen(command) as process:
            try:
                client = PrometheusClient(f"http://127.0.0.1:{port}")
                wait_until(lambda: watched(client), within_s=90, what="seven scrapes of every engine")
                yield client
            finally:
                process.terminate()


def watched(client: PrometheusClient) -> bool:
    with suppress(Exception):  # it listens a moment after it starts
        found = client.instant("sum_over_time(up[20s])", time.time())
        return len(found) == len(SERVED) and min(series.value for series in found) >= 7
    return False


@pytest.mark.parametrize(("job", "query"), [one[:2] for one in ASKED], ids=[one[2] for one in ASKED])
def test_a_query_for_an_engine_finds_finite_values_with_the_labels_of_its_legend(
    client: PrometheusClient, job: str, query: Query
) -> None:
    asked = bound(query.expression.text, "5s", {"$job": job, "$pod": ".*", "$gateway": ".+"})
    series = client.instant(asked, time.time())
    assert series, f"nothing for {asked}"
    assert all(math.isfinite(one.value) for one in series)
    for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
        assert all(one.labels.get(label) for one in series), f"no {label} in {series[0].labels}"


def test_both_spellings_of_vllm_tell_the_same(client: PrometheusClient) -> None:
    queries = [query.expression.text for job, query, _ in ASKED if job == "vllm"]
    assert len(queries) > 50
    gauges = [query for query in queries if "rate(" not in query and "scrape" not in query]
    for query in gauges:
        values = [
            [
                one.value
                for one in client.instant(bound(query, "5s", {"$job": job, "$pod": ".*"}), time.time())
            ]
            for job in ("vllm", "vllm-underscored")
        ]
        assert values[0] == pytest.approx(values[1], rel=1e-12), query  # sums add in any order


def test_a_run_on_another_engine_keeps_the_panels_that_it_can_fill_in_its_words(
    client: PrometheusClient,
) -> None:
    now_s = time.monotonic()
    kept = kept_series.keep(client._url, now_s - 5, now_s)
    panels = {one.panel for one in kept.values()}
    assert panels == {
        "Replicas",
        "Waiting and running",
        "P99 before and behind the gateway",
        "Time in the queue",
        "Hit ratio by tier",
        "KV cache by replica",
    }
    assert "vllm[:_]num_requests_waiting" in kept["Waiting and running: waiting"].query
    assert kept["KV cache by replica: a"].points
    drawn = {chart["title"]: chart for chart in of_series(kept, 5, None)}
    assert drawn.keys() == panels
    assert [line["label"] for line in drawn["Waiting and running"]["series"]] == ["waiting", "running"]
    latency = drawn["P99 before and behind the gateway"]
    assert latency["unit"] == "s"
    assert latency["bound"] == {"label": "limit 2.5 s", "value": 2.5}
    for chart in drawn.values():
        assert all(len(line["values"]) == len(chart["x"]) for line in chart["series"])


@pytest.mark.parametrize("engine", [engine.runtime for engine in engines.engines() if engine != REFERENCE])
def test_every_panel_of_the_replicas_is_there_or_a_note_says_why_not(engine: str) -> None:
    ours, theirs = dashboards(), dashboards(engine_of(profile(engine)))
    assert theirs
    for name, dashboard in theirs.items():
        there = {panel.title for panel in dashboard.panels}
        notes = [panel for row in dashboard.rows for panel in row.panels if isinstance(panel, Note)]
        said = " ".join(note.text for note in notes)
        assert dashboard.uid == f"{ours[name].uid}-{engine}"
        for panel in ours[name].panels:
            assert panel.title in there or panel.title in said, f"{name}: {panel.title}"
