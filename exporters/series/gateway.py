"""The series of the gateway in front of the replicas: logical requests, attempts, and who gets new ones."""

from exporters.series.family import Family
from exporters.series.server import E2E_EDGES

GATEWAY_REQUESTS = Family(
    "ds_gateway_requests_total",
    "counter",
    "Logical requests to generate (POST) that ended at the gateway, retries included, by what the client got.",
    unit="requests",
    labels=("outcome",),
)
GATEWAY_ATTEMPTS = Family(
    "ds_gateway_attempts_total",
    "counter",
    "Attempts that ended at one replica, by how.",
    unit="attempts",
    labels=("replica", "outcome"),
)
GATEWAY_RETRIES = Family(
    "ds_gateway_retries_total",
    "counter",
    "Attempts beyond the first of their request.",
    unit="attempts",
)
GATEWAY_IN_FLIGHT = Family(
    "ds_gateway_requests_in_flight",
    "gauge",
    "Logical requests that the gateway holds open.",
    unit="requests",
)
GATEWAY_REQUEST_SECONDS = Family(
    "ds_gateway_request_seconds",
    "histogram",
    "Arrival at the gateway to the last byte, retries included, exactly once per logical request.",
    unit="seconds",
    labels=("outcome",),
    buckets=E2E_EDGES,
    objective="e2e",
)
GATEWAY_OUTSTANDING = Family(
    "ds_gateway_replica_outstanding",
    "gauge",
    "Attempts open at the replica: the gateway picks the replica with the fewest.",
    unit="attempts",
    labels=("replica",),
)
GATEWAY_READY = Family(
    "ds_gateway_replicas_ready",
    "gauge",
    "Replicas that get new requests.",
    unit="replicas",
)
GATEWAY_EJECTED = Family(
    "ds_gateway_replicas_ejected",
    "gauge",
    "Replicas out of rotation, or on trial, because they did worse than their peers.",
    unit="replicas",
)
GATEWAY_EJECTIONS = Family(
    "ds_gateway_ejections_total",
    "counter",
    "Times that a replica was taken out of rotation because it did worse than its peers, by what it was worse at.",
    unit="ejections",
    labels=("reason",),
)
GATEWAY_RETRIES_REFUSED = Family(
    "ds_gateway_retries_refused_total",
    "counter",
    "Retries that would have been possible, and were more than the budget allows.",
    unit="attempts",
)
GATEWAY_PANICS = Family(
    "ds_gateway_panic_attempts_total",
    "counter",
    "Attempts at ejected replicas because every ready one was ejected.",
    unit="attempts",
)

FAMILIES = (
    *(GATEWAY_REQUESTS, GATEWAY_ATTEMPTS, GATEWAY_RETRIES, GATEWAY_IN_FLIGHT),
    *(GATEWAY_REQUEST_SECONDS, GATEWAY_OUTSTANDING, GATEWAY_READY),
    *(GATEWAY_EJECTED, GATEWAY_EJECTIONS, GATEWAY_RETRIES_REFUSED, GATEWAY_PANICS),
)
