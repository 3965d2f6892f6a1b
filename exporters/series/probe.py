"""The series of the black-box probe: what a client sees of a server, whatever the server says of itself."""

from exporters.series.family import Family

PROBE_OUTCOMES = ("ok", "refused", "timeout", "incomplete", "error")
"""How a probe can end: no connection; too late; a stream without its end or without a token; anything else."""

_PROBE = ("target", "model")

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

FAMILIES = (PROBE_SUCCESS, PROBE_TTFT, PROBE_TPOT, PROBE_DURATION, PROBE_AGE, PROBE_REQUESTS)
