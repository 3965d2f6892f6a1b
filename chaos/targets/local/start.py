"""Waiting for a cluster that starts: until replicas are ready and endpoints scraped, or until it is no use."""

import time
from collections.abc import Callable, Mapping
from typing import cast

from chaos.errors import RefusedError
from chaos.prometheus import PrometheusClient
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.wire import Message

_LOOK_EVERY_S = 0.1
_CRASHES_BEFORE_GIVING_UP = 3


def until_ready(
    describe: Callable[[], Message],
    spec: LocalSpec,
    on_progress: Callable[[int, int], None],
    deadline_s: float,
) -> Mapping[str, int]:
    """Wait until every wanted replica is ready; the ports of what stands beside them, by role.

    Args:
        describe: asks the supervisor.
        spec: the cluster.
        on_progress: told the ready and the wanted number of replicas at each look.
        deadline_s: monotonic seconds.

    Raises:
        RefusedError: a replica ends again and again, or not all are ready in time.
        InconclusiveError: the cluster has ended.
    """
    while not (seen := describe())["complete"] or ("prometheus" in seen["ports"]) < spec.prometheus:
        rows = seen["replicas"]
        on_progress(sum(row["replica"]["ready"] for row in rows), spec.replicas)
        for row in rows:
            if row["restarts"] >= _CRASHES_BEFORE_GIVING_UP and not row["replica"]["ready"]:
                name = row["replica"]["name"]
                raise _refusal(spec, f"{name} ends again and again", name)
        if time.monotonic() > deadline_s:
            unready = [row["replica"]["name"] for row in rows if not row["replica"]["ready"]]
            ready = f"{len(rows) - len(unready)} of {spec.replicas} replicas were ready"
            raise _refusal(spec, f"{ready} within {spec.ready_within_s:g} s", *unready[:1])
        time.sleep(_LOOK_EVERY_S)
    on_progress(spec.replicas, spec.replicas)
    return cast("Mapping[str, int]", seen["ports"])


def until_scraped(prometheus: PrometheusClient, spec: LocalSpec, deadline_s: float) -> None:
    """Wait until Prometheus reaches the replicas, the gateway and, where there are any, its prober and the run.

    Raises:
        RefusedError: it does not reach all of them in time.
        InconclusiveError: it does not answer.
    """
    wanted = spec.replicas + 1 + sum(each is not None for each in (spec.prober, spec.run_metrics_address))
    while (up := sum(series.value for series in prometheus.instant("up", time.time()))) < wanted:
        if time.monotonic() > deadline_s:
            raise _refusal(
                spec,
                f"Prometheus reaches {up:g} of {wanted} metrics endpoints: "
                "do the replicas serve /metrics at {metrics_port}?",
            )
        time.sleep(_LOOK_EVERY_S)


def _refusal(spec: LocalSpec, message: str, suspect: str = "prometheus") -> RefusedError:
    log = spec.log_folder / f"{suspect}.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    last = next((line for line in reversed(lines) if line.strip()), "(it is empty)")
    return RefusedError(message, hint=f"the last line of {log}: {last}")
