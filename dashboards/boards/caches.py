"""Dashboard Caches: what prompts the prefix cache saves, tier by tier, and how full the KV cache is."""

from dashboards import config
from dashboards.boards import variables
from dashboards.boards.panels import Dashboard, Panel, Query, Row
from dashboards.queries import engine as engine_queries
from dashboards.queries import replicas as queries


def caches() -> Dashboard:
    return Dashboard(
        uid="aftershock-caches",
        title="Caches",
        description="Prefix cache by tier, in tokens, and the KV cache by replica.",
        rows=(
            Row("Prefix cache", (hit_ratio(), looked_up(), found(), by_replica())),
            Row("Since each replica's start", (since_start(),)),
            Row("KV cache", (kv_fullest(), kv_by_replica(), kv_blocks(), kv_fragmentation())),
        ),
        variables=(*variables.OF_REPLICAS, variables.EXPERIMENT),
    )


def hit_ratio() -> Panel:
    return Panel(
        "Hit ratio by tier",
        "Found tokens / looked-up tokens, rates of summed counters: no average of ratios. Absent while nothing is "
        "looked up.",
        "percentunit",
        (Query(queries.cache_hit_ratio_by_tier(), "{{tier}}"),),
        maximum=1,
    )


def looked_up() -> Panel:
    return Panel(
        "Looked up by tier",
        "Prompt tokens looked up per second. A lower tier is asked for what the one above did not have.",
        "suffix:tok/s",
        (Query(queries.cache_lookups_by_tier(), "{{tier}}"),),
    )


def found() -> Panel:
    return Panel(
        "Found by tier",
        "Prompt tokens found per second: prompt work that was not done again.",
        "suffix:tok/s",
        (Query(queries.cache_hits_by_tier(), "{{tier}}"),),
    )


def by_replica() -> Panel:
    return Panel(
        "Hit ratio by replica",
        "Over the window. A replica that has just replaced another starts cold: its climb is part of recovery.",
        "percentunit",
        (Query(queries.cache_hit_ratio_by_replica(), "{{pod}} {{tier}}"),),
        maximum=1,
    )


def since_start() -> Panel:
    return Panel(
        "Hit ratio since start",
        f"ds_cache_hit_ratio as each replica reports it, of the {config.WORST} lowest. A lifetime figure: it says "
        "which cache is young, not how good the caches are now.",
        "percentunit",
        (Query(queries.cache_hit_ratio_since_start(), "{{pod}} {{tier}}"),),
        kind="bargauge",
        maximum=1,
        width=24,
    )


def kv_fullest() -> Panel:
    return Panel(
        "KV cache of the fullest replica",
        "Used share. The greatest, not the mean: requests wait where it is full.",
        "percentunit",
        (Query(queries.kv_usage(), "fullest"),),
        maximum=1,
    )


def kv_by_replica() -> Panel:
    return Panel(
        "KV cache by replica",
        f"Used share, of the {config.WORST} fullest.",
        "percentunit",
        (Query(queries.kv_usage_by_replica(), "{{pod}}"),),
        maximum=1,
    )


def kv_blocks() -> Panel:
    return Panel(
        "KV blocks by state",
        "Of all replicas: used by running requests, cached for later prompts, free. Used ones at the top, and free and "
        "cached ones gone: the next request preempts another, or waits.",
        "short",
        (Query(engine_queries.kv_blocks_by_state(), "{{state}}"),),
        stacked=True,
        no_value="the server does not report it",
    )


def kv_fragmentation() -> Panel:
    return Panel(
        "KV cache: reserved and empty",
        f"Share of the reserved slots that hold no token yet, of the {config.WORST} replicas with the most: memory "
        "that requests wait for and nobody uses.",
        "percentunit",
        (Query(queries.kv_fragmentation_by_replica(), "{{pod}}"),),
        maximum=1,
        no_value="the server does not report it",
    )
