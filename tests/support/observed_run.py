"""A short real run to ask dashboards about: two reference servers, the gateway, steady requests, one kill.

The local target runs without a runner here, with its own Prometheus, prober and pinger. A stand-in exports what the
runner would: fault windows, the load, what the run came to.
"""

import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from chaos.prometheus import PrometheusClient, Series
from chaos.targets.local.spec import LocalSpec, PingerSpec, ProberSpec
from chaos.targets.local.target import LocalTarget
from dashboards.config import bound
from dashboards.engines import REFERENCE
from dashboards.queries import faults, gateway
from dashboards.queries import replicas as queries
from dashboards.queries.expression import Expression
from exporters.exposition import serve
from exporters.registry import Registry, counter, gauge, histogram
from exporters.series import run
from tests.conftest import wait_until
from tests.support.local_cluster import all_ready, gateway_port, last, request, terminate, total

WINDOW = "5s"
"""Of every rate: five scrapes."""
VARIABLES = {"$job": "deepseek-metrics", "$pod": ".*", "$gateway": "gateway"}
_COMMAND = ("python", "-m", "reference_server", "--port", "{port}", "--metrics-port", "{metrics_port}")


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
    runner = Runner()
    with serve(runner.registry, host="127.0.0.1", port=0) as exposition:
        spec = LocalSpec(
            run_id=f"test-{uuid.uuid4()}",
            run_folder=folder,
            replicas=pace.replicas,
            command=_COMMAND,
            env={"DS_MODEL_NAME": "tiny", "DS_TORCH_THREADS": "1"},
            prober=ProberSpec(every_s=2.0),
            pinger=PingerSpec(),
            faults_key=secrets.token_urlsafe(24),
            run_metrics_address=f"127.0.0.1:{exposition.port}",
        )
        with LocalTarget(spec) as target:
            yield _watched(target, runner, pace)


def _watched(target: LocalTarget, runner: "Runner", pace: Pace) -> ObservedRun:
    """What happened to this cluster, which is still there."""
    client = PrometheusClient(target.endpoints().prometheus_url or "")
    started_s = time.time()
    with _requests(gateway_port(target), runner.tell):
        replicas, fault = _kill_one(target, client, runner.active.set, pace)
    return ObservedRun(client, started_s, time.time(), replicas, fault)


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


class Runner:
    """What a runner tells as series: every request of the load counts as planned."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.active = gauge(run.CHAOS_ACTIVE, self.registry).labels(
            "small", "kill-one", "PodChaos/pod-kill", "one of two"
        )
        self._counters = [
            counter(run.LOAD_PLANNED, self.registry),
            counter(run.LOAD_REQUESTS, self.registry).labels("ok"),
        ]
        self._lag = histogram(run.LOAD_LAG, self.registry)
        for family in (run.TELEMETRY_EXPECTED, run.TELEMETRY_REPORTING):
            gauge(family, self.registry).labels("deepseek-metrics").set(2)
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
        self._lag.observe(0.001)


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
