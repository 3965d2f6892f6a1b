"""What the levels of a load show together, in sentences."""

from collections.abc import Iterator

from chaos.record.load_run import Level, LoadRun
from chaos.report.words import plain, seconds, share


def findings(record: LoadRun) -> Iterator[str]:
    """What a reader comes for; of a single rate whether it was carried."""
    if len(record.levels) == 1:
        yield _of_one(record, record.levels[0])
    else:
        yield _highest(record)
        yield _knee(record)
    if record.ended_early is not None:
        yield f"No further rate was tried: {record.ended_early}."
    yield from (
        f"At {plain(level.rate_per_s)}/s the figures say little: {reason}."
        for level in record.levels
        for reason in level.unsound
    )


def objective(record: LoadRun) -> str:
    """What makes a request good, and when a rate counts as carried."""
    wanted = record.objective
    pace = "" if wanted.tpot_s is None else f", at most {seconds(wanted.tpot_s)} per token after the first"
    pace += "" if wanted.itl_s is None else f", no gap between tokens above {seconds(wanted.itl_s)}"
    return (
        f"good: first token within {seconds(wanted.ttft_s)} and the whole answer within {seconds(wanted.e2e_s)} of the "
        f"planned instant{pace}; carried: {share(wanted.goal)} are good"
    )


def of_level(level: Level) -> str:
    """How a rate went, in a phrase."""
    certain = "" if level.decided else ", too few requests to be sure"
    return f"{'carried' if level.carried else 'not carried'}{certain}"


def _of_one(record: LoadRun, level: Level) -> str:
    return (
        f"{plain(level.rate_per_s)}/s: {share(level.goodput)} of {level.planned:,} requests were good, "
        f"{of_level(level)} (goal {share(record.objective.goal)})."
    )


def _highest(record: LoadRun) -> str:
    found = record.highest_per_s
    if found is None:
        return "No rate that was tried was carried within the objectives."
    at = next(level for level in record.levels if level.rate_per_s == found)
    above = next((level for level in record.levels if level.rate_per_s > found), None)
    sure = "" if at.decided else ", too few to be sure"
    beyond = (
        "no higher one was tried"
        if above is None
        else f"at {plain(above.rate_per_s)}/s {share(above.goodput)} were"
    )
    return (
        f"The highest rate within the objectives is {plain(found)}/s: {share(at.goodput)} of {at.planned:,} requests "
        f"were good{sure}; {beyond}."
    )


def _knee(record: LoadRun) -> str:
    if record.knee_per_s is None:
        return "No knee was seen: throughput still grew faster than latency at the highest rate."
    at = next(level for level in record.levels if level.rate_per_s == record.knee_per_s)
    return (
        f"The knee is at {plain(record.knee_per_s)}/s ({plain(at.good_per_s)} good requests and "
        f"{plain(at.output_tokens_per_s)} tokens per second, {seconds(at.e2e.mean_s)} each on average): beyond it "
        "latency grows faster than throughput."
    )
