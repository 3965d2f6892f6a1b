"""The scrape jobs of Prometheus that hold these series: whoever scrapes and whoever asks must agree on them."""

REPLICA_JOB = "deepseek-metrics"
"""The replicas of the reference server; those of another engine are in a job of the engine's name."""
GATEWAY_JOB = "gateway"
RUN_JOB = "aftershock"
"""The run itself, as its runner exports it."""
PROBE_JOB = "probe"
"""The prober of a run, which asks every replica as a client would."""
