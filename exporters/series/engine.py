"""The series of an engine about its own steps and KV blocks: for a server that computes and schedules by itself."""

from exporters.series.family import Family

STEP_RESULTS = ("graph", "eager")
BLOCK_STATES = ("used", "cached", "free")

_POWERS_OF_TWO = tuple(float(1 << power) for power in range(8))

STEP_SEQUENCES = Family(
    "ds_engine_step_sequences",
    "histogram",
    "Batch occupancy: requests that were running when a step ended, once per step.",
    unit="requests",
    labels=("model",),
    buckets=_POWERS_OF_TWO,
)
STEP_TOKENS = Family(
    "ds_engine_step_tokens",
    "histogram",
    "Tokens that a step computed, of prompts and answers, once per step.",
    unit="tokens",
    labels=("model",),
    buckets=(*_POWERS_OF_TWO, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0),
)
STEPS = Family(
    "ds_engine_steps_total",
    "counter",
    "Steps by how they were launched: replayed from a captured graph, or eagerly, kernel by kernel.",
    unit="steps",
    labels=("model", "result"),
)
IDLE_SECONDS = Family(
    "ds_engine_idle_seconds_total",
    "counter",
    "Time that the device sat idle between steps although requests were running. "
    "By the host's clock where the device cannot be asked.",
    unit="seconds",
    labels=("model",),
)
BANDWIDTH_UTILISATION = Family(
    "ds_engine_bandwidth_utilisation_ratio",
    "gauge",
    "Bytes that the last twenty or so steps had to read (weights, keys and values), by their time, by what a copy "
    "on the device was measured to move; absent where that was not measured.",
    unit="ratio",
    labels=("model",),
)
KV_BLOCKS = Family(
    "ds_kv_blocks",
    "gauge",
    "KV blocks by state: used by running requests, cached for later prompts, free.",
    unit="blocks",
    labels=("model", "state"),
)
PREEMPTIONS = Family(
    "ds_engine_preemptions_total",
    "counter",
    "Running requests that lost their KV blocks to others and were computed again later.",
    unit="requests",
    labels=("model",),
    signal="preemptions",
)

FAMILIES = (STEP_SEQUENCES, STEP_TOKENS, STEPS, IDLE_SECONDS, BANDWIDTH_UTILISATION, KV_BLOCKS, PREEMPTIONS)
