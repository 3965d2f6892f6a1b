"""Where the replica listens, what it admits and how it leaves."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from reference_server.settings.setting import (
    COUNT,
    FILE,
    PORT,
    SECONDS,
    SECRET,
    SOME_SECONDS,
    TEXT,
    Setting,
    one_of,
)


@dataclass(frozen=True)
class ApiSettings:
    """The replica as its clients, its gateway and its operator meet it."""

    serving_mode: Annotated[
        str,
        Setting(
            "DS_SERVING_MODE",
            one_of("stream", "batch"),
            "stream: answers stream where the request asks for it; batch: such requests are refused",
        ),
    ] = "stream"
    host: Annotated[str, Setting("DS_HOST", TEXT, "address that both ports listen on; 0.0.0.0: all")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Setting("DS_PORT", PORT, "port of the API and the probes /healthz, /readyz")] = 8000
    metrics_port: Annotated[int, Setting("DS_METRICS_PORT", PORT, "port of /metrics")] = 8081
    metrics: Annotated[
        str, Setting("DS_METRICS", one_of("on", "off"), "off: no instrumentation, to measure what it costs")
    ] = "on"
    slo: Annotated[
        Path | None,
        Setting(
            "DS_SLO",
            FILE,
            "objectives of your own: their bounds become bucket edges, so that shares within them are exact "
            "(docs/slo.md; default: those of the demo)",
        ),
    ] = None
    replica_name: Annotated[
        str,
        Setting(
            "DS_REPLICA_NAME", TEXT, "said in the header x-aftershock-replica (default: the host's name)"
        ),
    ] = ""
    max_queue: Annotated[
        int, Setting("DS_MAX_QUEUE", COUNT, "requests that may wait; one more is answered 429")
    ] = 256
    request_s: Annotated[
        float, Setting("DS_REQUEST_SECONDS", SOME_SECONDS, "a request older than this ends as a timeout")
    ] = 600.0
    drain_s: Annotated[
        float,
        Setting("DS_DRAIN_SECONDS", SECONDS, "after SIGTERM, running requests have this long to finish"),
    ] = 30.0
    stall_s: Annotated[
        float,
        Setting(
            "DS_STALL_SECONDS",
            SOME_SECONDS,
            "/healthz and /readyz answer 503 once a step takes this much longer than DS_MIN_STEP_SECONDS, and "
            "longer than 8 times what a step of its tokens took before",
        ),
    ] = 1.5
    faults_key: Annotated[
        str,
        Setting(
            "DS_FAULTS_KEY",
            SECRET,
            "opens /faults on DS_PORT to whoever has this key, who can then break this server on purpose; better in "
            "the environment than on a command line (default: there is no such path)",
        ),
    ] = field(default="", repr=False)
