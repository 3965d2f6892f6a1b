"""A short real run to ask dashboards about: two reference servers, the gateway, steady requests, one kill.

The local target runs without a runner here: a second Prometheus follows the same list of replicas and the same
gateway, and a stand-in that exports what runner, prober and comm exporter would: fault windows, the load, and so on.
"""

import json
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from chaos.prometheus import PrometheusClient, Series
from chaos.targets.local.ports import free_port
from chaos.targets.local.prometheus import ServerFiles, find_prometheus
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.target import LocalTarget
from dashboards.config import bound
from dashboards.engines import REFERENCE
from dashboards.queries import faults, gateway
from dashboards.queries import replicas as queries
from dashboards.queries.expression import Expression
from exporters.exposition import serve
from exporters.registry import Registry, counter, gauge, histogram
from exporters.series import comm, probe, run
from tests.conftest import wait_until
from tests.support.local_cluster import all_ready, gateway_port, last, request, terminate, total

WINDOW = "5s"
"""Of every rate: five scrapes."""
VARIABLES = {"$job": "deepseek-metrics", "$pod": ".*", "$gateway": "gateway"}
_COMMAND = ("python", "-m", "reference_server", "--port", "{port}", "--metrics-port", "{metrics_port}")
_CHAOS_JOB = """\
  - job_name: aftershock
    static_configs:
      - targets: [{address}]
"""


@dataclass(frozen=True)
class Pace:
    """How much there is to see; a test needs no more than one sample of everything."""

    replicas: int = 2
    before_s: float = 0
    during_s: float = 0
    after_s: float = 0
    """The least time before the fault, while it is said to be in force, and after it."""


@dataclass(frozen=True)
class ObservedRun:
    """A run that is over, and the Prometheus that saw it."""

    client: PrometheusClient
    start_s: float
    end_s: float
    """Unix seconds."""
    replicas: frozenset[str]
    """Every replica that ever served, the victim's replacement among them."""
    fault: tuple[float, float]
    """When it was told to be in force, and when no longer, in Unix seconds."""

    def ask(self, expression: str) -> list[Series]:
        """The query as a panel would ask it, one point per second."""
        return self.client.range(bound(expression, WINDOW, VARIABLES), self.start_s, self.end_s, 1.0)


@contextmanager
def observed_run(folder: Path, pace: Pace = Pace()) -> Iterator[ObservedRun]:
    """Let the run happen, and hold its Prometheus open."""
    spec = LocalSpec(
        run_id=f"test-{uuid.uuid4()}",
        run_folder=folder,
        replicas=pace.replicas,
        command=_COMMAND,
        env={"DS_MODEL_NAME": "tiny", "DS_TORCH_THREADS": "1"},
    )
    beside = Beside()
    with (
        LocalTarget(spec) as target,
        serve(beside.registry, host="127.0.0.1", port=0) as exposition,
        _prometheus(folder, target, spec, exposition.port) as client,
    ):
        started_s = time.time()
        with _requests(gateway_port(target), beside.tell):
            replicas, fault = _kill_one(target, client, beside.active.set, pace)
        yield ObservedRun(client, started_s, time.time(), replicas, fault)


def _kill_one(
    target: LocalTarget, client: PrometheusClient, tell: Callable[[int], None], pace: Pace
) -> tuple[frozenset[str], tuple[float, float]]:
    goodput = gateway.good()
    before = frozenset(replica.name for replica in target.replicas())
    _seen(client, faults.in_baseline(goodput))
    _served_by(client, pace.replicas)
    time.sleep(pace.before_s)
    victim = target.replicas()[0]
    metrics_port = last(target, victim.name)["metrics_port"]
    # A victim that holds a request when it dies makes an attempt fail.
    wait_until(
        lambda: total(metrics_port, "ds_requests_running"), within_s=60, what="a request in the victim"
    )
    tell(1)
    told_s = time.time()
    terminate(target, [victim])
    _seen(client, faults.in_fault(goodput))
    time.sleep(pace.during_s)
    tell(0)
    fault = (told_s, time.time())
    wait_until(lambda: all_ready(target), within_s=60, what="the replacement")
    _seen(client, faults.in_recovery(goodput))
    after = frozenset(replica.name for replica in target.replicas())
    assert _served_by(client, pace.replicas) == after
    time.sleep(pace.after_s)
    return before | after, fault


def _served_by(client: PrometheusClient, replicas: int) -> frozenset[str]:
    """The names of that many replicas with a request answered inside the window, once there are."""

    query = f"{queries.requests_by_replica().over(REFERENCE).text} > 0"

    def serving() -> frozenset[str]:
        found = frozenset(series.labels["pod"] for series in _lasting(client, query))
        return found if len(found) == replicas else frozenset()

    return wait_until(serving, within_s=60, what=f"{replicas} serving replicas")


def _seen(client: PrometheusClient, expression: Expression) -> None:
    query = expression.over(REFERENCE).text
    wait_until(lambda: _lasting(client, query), within_s=60, what=query)


def _lasting(client: PrometheusClient, expression: str) -> list[Series]:
    """The series that have been there for two seconds: a panel with a point per second cannot miss them."""
    now_s = time.time()
    found = client.range(bound(expression, WINDOW, VARIABLES), now_s - 2, now_s, 1.0)
    return [series for series in found if len(series.points) == 3]


class Beside:
    """What runs beside a cluster, as series: every request of the load is told as planned, probed and timed too."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.active = gauge(run.CHAOS_ACTIVE, self.registry).labels(
            "small", "kill-one", "PodChaos/pod-kill", "one of two"
        )
        self._counters = [
            counter(run.LOAD_PLANNED, self.registry),
            counter(run.LOAD_REQUESTS, self.registry).labels("ok"),
            counter(probe.PROBE_REQUESTS, self.registry).labels("a", "tiny", "ok"),
            counter(comm.COMM_FAILURES, self.registry).labels("tcp_rtt", "intra", "b"),
        ]
        self._seconds = [
            histogram(run.LOAD_LAG, self.registry),
            histogram(comm.COMM_LATENCY, self.registry).labels("tcp_rtt", "intra", "b"),
        ]
        for family in (run.TELEMETRY_EXPECTED, run.TELEMETRY_REPORTING):
            gauge(family, self.registry).labels("deepseek-metrics").set(2)
        for family in (probe.PROBE_SUCCESS, probe.PROBE_TTFT, probe.PROBE_TPOT):
            gauge(family, self.registry).labels("a", "tiny").set(1)
        gauge(run.LOAD_IN_FLIGHT, self.registry).set(3)
        gauge(run.RUN_VERDICT, self.registry).labels("small", "passed").set(1)
        gauge(run.RUN_RECOVERY, self.registry).labels("small", "service").set(4)
        gauge(run.RUN_BUDGET_LEFT, self.registry).labels("small", "ttft").set(0.5)
        steps = gauge(run.RUN_COLD_START, self.registry)
        for step in run.COLD_START_STEPS:
            steps.labels("small", "new", step).set(1)

    def tell(self) -> None:
        for one in self._counters:
            one.inc()
        for each in self._seconds:
            each.observe(0.001)


@contextmanager
def _requests(port: int, tell: Callable[[], None]) -> Iterator[None]:
    """Three clients that ask one thing after the other, with a beginning in common; closed loop is enough here."""
    done = threading.Event()

    def ask(client: int) -> None:
        asked = 0
        while not done.is_set():
            asked += 1
            tell()
            prompt = f"{'the same beginning of every prompt ' * 4}{client} {asked}"
            with suppress(OSError):  # what the kill does to a request is the gateway's to count
                body = {"prompt": prompt, "max_tokens": 40, "stream": True}
                request(port, "POST", "/v1/completions", body)

    clients = [threading.Thread(target=ask, args=[number]) for number in range(3)]
    for thread in clients:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in clients:
            thread.join()


@contextmanager
def _prometheus(
    folder: Path, target: LocalTarget, spec: LocalSpec, chaos_port: int
) -> Iterator[PrometheusClient]:
    files = ServerFiles(folder / "prometheus")
    gateway = urlsplit(target.endpoints().gateway_metrics_url or "").netloc
    files.write_config(gateway)
    config = files.config.read_text().replace(
        str(files.targets), str(ServerFiles(spec.scratch_folder).targets)
    )
    files.config.write_text(config + _CHAOS_JOB.format(address=json.dumps(f"127.0.0.1:{chaos_port}")))
    port = free_port(())
    process = subprocess.Popen(files.command(find_prometheus(), port), stderr=subprocess.DEVNULL)
    client = PrometheusClient(f"http://127.0.0.1:{port}")

    targets = spec.replicas + 2  # the gateway, and what tells of faults

    def up() -> bool:
        with suppress(Exception):  # it listens a moment after it starts
            return sum(series.value for series in client.instant("up", time.time())) == targets
        return False

    try:
        wait_until(up, within_s=60, what="every scrape target")
        yield client
    finally:
        process.terminate()
        process.wait(20)
