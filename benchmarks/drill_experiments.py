"""Every alert's cause, as something that can be begun and ended."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.drill_targets import PORTS, Instrumented, Load, Process, Replica, Traffic
from benchmarks.drill_watch import ScrapedAt, Watch
from exporters.series.jobs import GATEWAY_JOB, REPLICA_JOB

REAL, RECORDED, MADE = "real", "recorded on an H200, replayed", "made events in the real instrumentation"
OVERLOADED = (
    *("--max-running", "2", "--max-queue", "8", "--kv-tokens", "600", "--max-context", "512"),
    *("--min-step-seconds", "0.02"),
)
"""A replica that sixteen clients of long requests fill to the brim: two run, eight wait, the rest is refused."""
CROWDED = (
    *("--max-running", "8", "--kv-tokens", "600", "--max-context", "512"),
    *("--min-step-seconds", "0.02"),
)
"""One that lets eight of them run with room for two at their full length: they take each other's blocks."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A cause, what it should raise, and where that is scraped."""

    name: str
    """Also the namespace of its targets, which its alerts carry."""
    alerts: tuple[str, ...]
    cause: str
    how: str
    begin: Callable[[], object]
    end: Callable[[], object]
    targets: tuple[ScrapedAt, ...]
    everywhere: bool = False
    """Its alerts carry no namespace."""


class Experiments:
    """All of them, with their processes; close it to end everything."""

    def __init__(self) -> None:
        self._owned = ExitStack()
        self._traffic = Traffic()
        self._owned.callback(self._traffic.close)
        self._replicas = [
            self._own(Replica(*options)) for options in (OVERLOADED, (), (), OVERLOADED, CROWDED)
        ]
        for replica in self._replicas:
            replica.wait_ready()
        # Two servers to overload: what one alert's cause did must not have begun with another's.
        self._load, self._gray_load = Load(self._replicas[0]), Load(self._replicas[3])
        self._crowding = Load(self._replicas[4])
        for load in (self._load, self._gray_load, self._crowding):
            self._owned.callback(load.close)

    def close(self) -> None:
        """End every process and listener."""
        self._owned.close()

    def namespaced(self) -> Sequence[Experiment]:
        """Those whose alerts tell their target: they run side by side under one Prometheus."""
        return [self._overload(), self._crowd(), self._kill(), self._comm_failing(), *self._made()]

    def of_the_whole(self, watch: Watch) -> Sequence[Sequence[Experiment]]:
        """Those whose alerts look at everything that one Prometheus has; each group after the one before it."""
        gateway, everything = self._traffic.of("drill-gateway"), self._traffic.of("drill-everything")
        everything.recording = "server"
        metrics_port = next(PORTS)
        probed = f"http://127.0.0.1:{self._replicas[3].port}"
        options = ("--every", "0.5", "--timeout", "1", "--host", "127.0.0.1", "--port", str(metrics_port))
        self._own(Process("exporters", "probe", "--url", probed, "--model", "tiny", *options))
        targets = (
            ScrapedAt(REPLICA_JOB, everything.address, "everything"),
            ScrapedAt(GATEWAY_JOB, gateway.address, "everything"),
            ScrapedAt("exporters", f"127.0.0.1:{metrics_port}", "everything"),
        )
        gray = Experiment(
            "gray",
            ("GrayReplica",),
            "a replica answers /healthz and its gateway calls it ready, while probes wait in its full queue",
            f"{REAL} (the gateway's gauge is made)",
            self._gray_load.begin,
            self._gray_load.end,
            targets,
            everywhere=True,
        )
        blind = Experiment(
            "blind",
            ("TelemetryBlind",),
            "the listener of a replica's /metrics closes, the gateway goes on sending it requests",
            f"{REAL} (the gateway's gauge is made)",
            everything.fall_silent,
            everything.listen,
            targets,
            everywhere=True,
        )
        absent = Experiment(
            "absent",
            ("SignalAbsent",),
            "Prometheus loses all its targets: their list is empty",
            f"{REAL} (the targets' events are made)",
            partial(watch.show, ()),
            partial(watch.show, targets),
            targets,
            everywhere=True,
        )
        return [[gray, blind], [absent]]

    def _own(self, process: Any) -> Any:
        self._owned.callback(process.close)
        return process

    def _overload(self) -> Experiment:
        replica = self._replicas[0]
        return Experiment(
            "overload",
            ("QueueAgeHigh", "ErrorRatioHigh", "TtftBudgetBurn", "E2eBudgetBurn"),
            "sixteen clients of long requests at a reference server that runs two and lets eight wait",
            REAL,
            self._load.begin,
            self._load.end,
            (ScrapedAt(REPLICA_JOB, f"127.0.0.1:{replica.metrics_port}", "overload"),),
        )

    def _crowd(self) -> Experiment:
        replica = self._replicas[4]
        return Experiment(
            "crowd",
            ("PreemptionStorm",),
            "sixteen clients of long requests at a reference server that runs eight, with KV blocks for two",
            REAL,
            self._crowding.begin,
            self._crowding.end,
            (ScrapedAt(REPLICA_JOB, f"127.0.0.1:{replica.metrics_port}", "crowd"),),
        )

    def _kill(self) -> Experiment:
        targets = [
            ScrapedAt(REPLICA_JOB, f"127.0.0.1:{replica.metrics_port}", "kill")
            for replica in self._replicas[1:3]
        ]
        victim = self._replicas[1]
        return Experiment(
            "kill",
            ("ReplicaDown", "ReplicasMissing"),
            "one of two reference servers is killed (SIGKILL); it ends with a new one at the same port",
            REAL,
            victim.kill,
            victim.start,
            tuple(targets),
        )

    def _comm_failing(self) -> Experiment:
        respond, metrics = [next(PORTS) for _ in range(2)], [next(PORTS) for _ in range(2)]
        peer = ("--peer", f"127.0.0.1:{respond[1]}", "--every", "0.1", "--timeout", "0.3")
        for number, options in enumerate((peer, ())):
            ports = ("--respond-port", str(respond[number]), "--port", str(metrics[number]))
            process = self._own(Process("exporters", "comm", "--host", "127.0.0.1", *ports, *options))
        return Experiment(
            "comm-failing",
            ("CommFailing",),
            "the peer of `python -m exporters comm` is stopped (SIGSTOP); it ends with SIGCONT",
            REAL,
            process.pause,
            process.resume,
            (ScrapedAt("exporters", f"127.0.0.1:{metrics[0]}", "comm-failing"),),
        )

    def _made(self) -> Iterator[Experiment]:
        for alert, job, cause, how, changes in _MADE:
            name = alert.lower()
            target = self._traffic.of(name)
            ended: Callable[[], object] = target.reset
            if how == RECORDED:
                target.recording = "fragmentation-filled"
                ended = partial(_change, target, {"recording": "fragmentation-filled"})
            began: Callable[[], object] = partial(_change, target, changes)
            if alert == "GatewayDown":
                began, ended = target.fall_silent, target.listen
            yield Experiment(
                name,
                (alert,),
                cause,
                how,
                began,
                ended,
                (ScrapedAt(job, target.address, name),),
            )


def _change(target: Instrumented, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(target, name, value)


_MADE: Sequence[tuple[str, str, str, str, dict[str, Any]]] = (
    ("ItlBudgetBurn", REPLICA_JOB, "every gap between tokens is 0.6 s", MADE, {"gap_s": 0.6}),
    (
        *("AvailabilityBudgetBurn", GATEWAY_JOB, "the gateway answers every request 5xx", MADE),
        {"gateway_outcome": "http_5xx"},
    ),
    (
        *("KvCacheExhausted", REPLICA_JOB, "99 % of the KV cache is in use and a request waits", MADE),
        {"kv_usage": 0.99, "one_waits": True},
    ),
    ("CacheTierDown", REPLICA_JOB, "no lookup finds anything", MADE, {"hit_tokens": 0}),
    (
        *("CacheTierHitRatioCollapsed", REPLICA_JOB, "the hit ratio falls from 50 % to 6 %", MADE),
        {"hit_tokens": 4},
    ),
    ("GatewayDown", GATEWAY_JOB, "the gateway's listener closes", REAL, {}),
    ("GatewayNoReadyReplicas", GATEWAY_JOB, "the gateway has no ready replica", MADE, {"ready": 0}),
    ("GatewayRetryStorm", GATEWAY_JOB, "every request is tried twice", MADE, {"retries": 1}),
    (
        *("CollectorFailing", REPLICA_JOB, "a collector raises at every scrape", MADE),
        {"collector_broken": True},
    ),
    ("CommLatencyHigh", "exporters", "round trips take 50 ms instead of 0.5 ms", MADE, {"rtt_s": 0.05}),
    ("GpuLost", REPLICA_JOB, "NVML answers with an error", MADE, {"gpu_lost": True}),
    (
        *("GpuMemoryFragmented", REPLICA_JOB, "every second block of a full allocator is freed"),
        *(RECORDED, {"recording": "fragmentation-fragmented"}),
    ),
    (
        *("GpuThrottled", REPLICA_JOB, "the hardware's thermal slowdown is active", MADE),
        {"throttle": "hw_thermal"},
    ),
    ("GpuXidEvent", REPLICA_JOB, "the driver logs XID 79 again and again", MADE, {"xids_per_tick": 1}),
)
