"""Every query of what an engine tells about its own steps and KV blocks; ours alone tells most of it."""

from dashboards.config import REPLICAS, WORST
from dashboards.queries.expression import Expression
from dashboards.queries.promql import lowest, now, per, total_rate, worst
from exporters.series import engine
from exporters.series.family import Family


def sequences_per_step() -> Expression:
    """Mean running requests of the steps, in all replicas."""
    return _mean(engine.STEP_SEQUENCES)


def tokens_per_step() -> Expression:
    """Mean tokens that a step computed, of prompts and answers, in all replicas."""
    return _mean(engine.STEP_TOKENS)


def steps_by_launch() -> Expression:
    """Steps per second, by how they were launched."""
    return total_rate(engine.STEPS, REPLICAS, by=("result",))


def idle_share_by_replica() -> Expression:
    """Share of the time that the device sat idle although requests ran, of the replicas with the most."""
    return worst(WORST, total_rate(engine.IDLE_SECONDS, REPLICAS, by=("pod",)))


def bandwidth_by_replica() -> Expression:
    """Share of the memory's bandwidth that steps use, of the replicas with the least."""
    return lowest(WORST, now("min", engine.BANDWIDTH_UTILISATION, REPLICAS, by=("pod",)))


def kv_blocks_by_state() -> Expression:
    """KV blocks of all replicas, by state."""
    return now("sum", engine.KV_BLOCKS, REPLICAS, by=("state",))


def preemptions_by_replica() -> Expression:
    """Running requests per second that were put back into the queue, of the replicas with the most."""
    return worst(WORST, total_rate("preemptions", REPLICAS, by=("pod",)))


def _mean(family: Family) -> Expression:
    return per(total_rate(family, REPLICAS, part="_sum"), total_rate(family, REPLICAS, part="_count"))
