"""The series of the ways between peers: one small operation at a time, over TCP or a collective."""

from exporters.series.family import Family

SCOPES = ("intra", "inter")
TCP_RTT = "tcp_rtt"
"""The `op` of a round trip over TCP; timed collectives name themselves (`all_reduce`, ...)."""


_COMM = ("op", "scope", "peer")
_COMM_EDGES = (
    *(5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6),
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)

COMM_LATENCY = Family(
    "ds_comm_latency_seconds",
    "histogram",
    "One small operation with a peer, on the same host (intra) or another (inter): tcp_rtt is a round trip over "
    "an open TCP connection.",
    unit="seconds",
    labels=_COMM,
    buckets=_COMM_EDGES,
    signal="comm_seconds",
)
COMM_FAILURES = Family(
    "ds_comm_failures_total",
    "counter",
    "Operations that got no answer in time. They have no latency: read both.",
    unit="operations",
    labels=_COMM,
)

FAMILIES = (COMM_LATENCY, COMM_FAILURES)
