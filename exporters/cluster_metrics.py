"""The series that come from beside the servers: the black-box probe, the ways between peers, a run and its load."""

from exporters.families import Family

PROBE_OUTCOMES = ("ok", "refused", "timeout", "incomplete", "error")
"""How a probe can end: no connection; too late; a stream without its end or without a token; anything else."""
SCOPES = ("intra", "inter")
TCP_RTT = "tcp_rtt"
"""The `op` of a round trip over TCP; timed collectives name themselves (`all_reduce`, ...)."""

_PROBE = ("target", "model")
_COMM = ("op", "scope", "peer")
_COMM_EDGES = (
    *(
        5e-6,
        10e-6,
        25e-6,
        50e-6,
        100e-6,
        250e-6,
        500e-6,
        0.001,
        0.0025,
        0.005,
        0.01,
        0.025,
        0.05,
        0.1,
        0.25,
        0.5,
    ),
    *(1.0, 2.5, 5.0, 10.0),
)

PROBE_SUCCESS = Family(
    "ds_probe_success",
    "gauge",
    "1 when the last probe got a whole streamed answer in time, else 0: the truth when health checks lie.",
    labels=_PROBE,
)
PROBE_TTFT = Family(
    "ds_probe_time_to_first_token_seconds",
    "gauge",
    "Start of the last probe, connecting included, to its first token; absent when there was none.",
    unit="seconds",
    labels=_PROBE,
)
PROBE_TPOT = Family(
    "ds_probe_time_per_output_token_seconds",
    "gauge",
    "(last token - first token) / (tokens - 1) of the last probe; absent below two tokens.",
    unit="seconds",
    labels=_PROBE,
)
PROBE_DURATION = Family(
    "ds_probe_duration_seconds",
    "gauge",
    "How long the last probe took, however it ended.",
    unit="seconds",
    labels=_PROBE,
)
PROBE_AGE = Family(
    "ds_probe_age_seconds",
    "gauge",
    "Time since the last probe ended: above its period and timeout together, the prober itself hangs.",
    unit="seconds",
    labels=_PROBE,
)
PROBE_REQUESTS = Family(
    "ds_probe_requests_total",
    "counter",
    "Probes that ended: ok, refused (no connection), timeout, incomplete (no token, or no end) or error.",
    unit="requests",
    labels=(*_PROBE, "outcome"),
)

COMM_LATENCY = Family(
    "ds_comm_latency_seconds",
    "histogram",
    "One small operation with a peer, on the same host (intra) or another (inter): tcp_rtt is a round trip over "
    "an open TCP connection.",
    unit="seconds",
    labels=_COMM,
    buckets=_COMM_EDGES,
)
COMM_FAILURES = Family(
    "ds_comm_failures_total",
    "counter",
    "Operations that got no answer in time. They have no latency: read both.",
    unit="operations",
    labels=_COMM,
)

CHAOS_ACTIVE = Family(
    "ds_chaos_active",
    "gauge",
    "1 while this fault of this experiment is in force on this target (a kill: until the missing capacity is ready "
    "again), 0 afterwards.",
    labels=("experiment", "fault", "kind", "target"),
)
TELEMETRY_EXPECTED = Family(
    "ds_telemetry_targets_expected",
    "gauge",
    "Targets whose series should be there now, by scrape job.",
    unit="targets",
    labels=("job_name",),
)
TELEMETRY_REPORTING = Family(
    "ds_telemetry_targets_reporting",
    "gauge",
    "Of those, targets whose last scrape succeeded. Fewer than expected: the rest of every dashboard is blind there.",
    unit="targets",
    labels=("job_name",),
)

_LAG_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

LOAD_PLANNED = Family(
    "ds_load_planned_total",
    "counter",
    "Arrivals of the load's plan whose instant has come: what an open loop offers, whatever the servers do.",
    unit="requests",
)
LOAD_REQUESTS = Family(
    "ds_load_requests_total",
    "counter",
    "Planned arrivals that ended, by what the client saw: ok, or one of a closed list of failures.",
    unit="requests",
    labels=("outcome",),
)
LOAD_IN_FLIGHT = Family(
    "ds_load_in_flight",
    "gauge",
    "Planned arrivals whose instant has come and that have not ended.",
    unit="requests",
)
LOAD_LAG = Family(
    "ds_load_lag_seconds",
    "histogram",
    "Dispatch after the planned instant: the generator's own lateness, observed when the request ends.",
    unit="seconds",
    buckets=_LAG_EDGES,
)

GROUPS = {
    "Probe": (*(PROBE_SUCCESS, PROBE_TTFT, PROBE_TPOT, PROBE_DURATION, PROBE_AGE, PROBE_REQUESTS),),
    "Communication": (COMM_LATENCY, COMM_FAILURES),
    "Experiment": (CHAOS_ACTIVE, TELEMETRY_EXPECTED, TELEMETRY_REPORTING),
    "Load": (LOAD_PLANNED, LOAD_REQUESTS, LOAD_IN_FLIGHT, LOAD_LAG),
}
