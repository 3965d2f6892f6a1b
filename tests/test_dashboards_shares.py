"""Shares of what was counted, asked of promtool over replicas that begin and restart inside the window."""

from pathlib import Path

import pytest
import yaml

from dashboards.config import bound
from dashboards.engines import REFERENCE
from dashboards.queries import gateway
from dashboards.queries import replicas as queries
from dashboards.queries.expression import Expression
from exporters.series import gateway as gateway_series
from exporters.series import server
from exporters.series.family import Family
from tests.test_dashboards_rules import promtool

WINDOW_S, UNTIL_S = 5, 14
BEGINS_S = 6
"""Of the replica, when it has counted already: a busy machine scrapes late."""
COUNTED = [6, 11, 16, 21, 26, 31, 36, 41, 46]
"""Of all, at each scrape: the first one missed what a share is of, the others did not."""
HISTOGRAMS = {
    "first token in time": (queries.ttft_within_objective(), server.TIME_TO_FIRST_TOKEN, "0.5"),
    "answered in time": (queries.e2e_within_objective(), server.INFERENCE_LATENCY, "2.5"),
    "token gaps in time": (queries.itl_within_objective(), server.INTER_TOKEN_LATENCY, "0.25"),
    "served in time": (gateway.good_ratio(), gateway_series.GATEWAY_REQUEST_SECONDS, "2.5"),
}


def of_histogram(family: Family, edge: str, pod: str, whole: str, part: str) -> dict[str, str]:
    outcome = ', outcome="ok"' if "outcome" in family.labels else ""
    labels = f'job="j", pod="{pod}"{outcome}'
    return {
        f"{family.name}_count{{{labels}}}": whole,
        f'{family.name}_bucket{{{labels}, le="{edge}"}}': part,
    }


def of_caches(pod: str, whole: str, part: str) -> dict[str, str]:
    labels = f'job="j", pod="{pod}", tier="memory"'
    return {
        f"{server.CACHE_QUERIES.name}{{{labels}}}": whole,
        f"{server.CACHE_HITS.name}{{{labels}}}": part,
    }


def shares(name: str, pod: str, whole: str, part: str) -> tuple[Expression, str, dict[str, str]]:
    """A query, the labels of its answer, and the series that it finds."""
    if name in HISTOGRAMS:
        query, family, edge = HISTOGRAMS[name]
        return query, "{}", of_histogram(family, edge, pod, whole, part)
    if name == "hits by tier":
        return queries.cache_hit_ratio_by_tier(), '{tier="memory"}', of_caches(pod, whole, part)
    labels = f'{{pod="{pod}", tier="memory"}}'
    return queries.cache_hit_ratio_by_replica(), labels, of_caches(pod, whole, part)


NAMES = [*HISTOGRAMS, "hits by tier", "hits by replica"]


def judged(
    folder: Path, query: Expression, series: dict[str, str], said: dict[float, tuple[str, float]]
) -> None:
    """A failure unless the query says at each time what it should."""
    asked = f"round({bound(query.over(REFERENCE).text, f'{WINDOW_S}s')}, 0.000001)"
    cases = [
        {
            "expr": asked,
            "eval_time": f"{at_s * 1000:g}ms",
            "exp_samples": [{"labels": labels, "value": value}],
        }
        for at_s, (labels, value) in said.items()
    ]
    written = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "1s", "input_series": written, "promql_expr_test": cases}
    (folder / "shares.yaml").write_text(yaml.safe_dump({"evaluation_interval": "1s", "tests": [test]}))
    promtool("test", "rules", "shares.yaml", folder=folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_replica_that_began_badly_inside_the_window_does_not_make_more_than_all(
    name: str, tmp_path: Path
) -> None:
    before = "_ " * BEGINS_S
    whole, part = (before + " ".join(map(str, [n - less for n in COUNTED])) for less in (0, 1))
    query, labels, series = shares(name, "a", whole, part)
    # From the second scrape on, every gap that was counted between two scrapes was in time.
    said = {BEGINS_S + after_s / 4: (labels, 1.0) for after_s in range(4, 4 * (UNTIL_S - BEGINS_S))}
    judged(tmp_path, query, series, said)


@pytest.mark.parametrize("name", NAMES)
def test_a_restart_inside_the_window_counts_like_the_rest(name: str, tmp_path: Path) -> None:
    # Ten per scrape of which four are in time, before the restart at 8 s and after it.
    whole = "100+10x7 0+10x8"
    part = "40+4x7 0+4x8"
    query, labels, series = shares(name, "a", whole, part)
    judged(tmp_path, query, series, {float(at_s): (labels, 0.4) for at_s in range(2, UNTIL_S)})


@pytest.mark.parametrize("name", [*HISTOGRAMS, "hits by tier"])
def test_a_replica_that_restarts_again_and_again_is_not_left_out(name: str, tmp_path: Path) -> None:
    query, labels, well = shares(name, "well", "100+10x15", "100+10x15")
    _, _, ill = shares(name, "ill", "10 20 30 10 20 30 10 20 30 10 20 30 10 20 30", "0x15")
    # Both count ten between two scrapes, and nothing of the second is in time.
    judged(tmp_path, query, {**well, **ill}, {float(at_s): (labels, 0.5) for at_s in range(6, UNTIL_S)})


def test_first_tokens_are_in_time_or_not_when_they_come_and_a_request_that_failed_was_not(
    tmp_path: Path,
) -> None:
    """Ten first tokens a second in time until 10 s; the answers end 4 s later, and from 7 s on ten a second fail."""
    query, _, series = shares("first token in time", "a", "0+10x10 100x4", "0+10x10 100x4")
    ended = f'{server.REQUESTS.name}{{job="j", pod="a", outcome="%s"}}'
    of_all = {**series, ended % "ok": "0x4 10+10x9"}
    judged(tmp_path, query, of_all, {float(at_s): ("{}", 1.0) for at_s in range(2, 11)})
    failing = {**of_all, ended % "error": "0x6 10+10x7"}
    judged(tmp_path, query, failing, {4.0: ("{}", 1.0), 10.0: ("{}", 0.555556), 14.0: ("{}", 0.166667)})
