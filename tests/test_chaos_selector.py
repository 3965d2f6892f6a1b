"""Chaos Mesh's selection, rule by rule; its rounding, cell by cell; a draw that is fair and repeatable."""

import math
from collections import Counter
from itertools import combinations
from random import Random
from typing import Any

import pytest
from chaos.faults.chaos_mesh import Mode, Selector
from hypothesis import given
from hypothesis import strategies as st

from chaos.errors import InputError, RefusedError
from chaos.faults.selection import candidates, draw, victims_count
from chaos.targets import Node, Replica

NODES = [
    Node("node-a", {"zone": "a", "gpu": "h100"}),
    Node("node-b", {"zone": "b", "gpu": "h100"}),
    Node("node-c", {"zone": "c"}),
]


def replica(name: str, **others: Any) -> Replica:
    facts: dict[str, Any] = {
        "namespace": "inference",
        "uid": f"uid-{name}",
        "labels": {},
        "annotations": {},
        "node": "node-a",
        "phase": "Running",
        "ready": True,
    }
    return Replica(name=name, **{**facts, **others})


REPLICAS = [
    replica("r0", labels={"app": "server", "zone": "a"}, annotations={"team": "serving"}),
    replica("r1", labels={"app": "server", "zone": "b"}, node="node-b", phase="Pending"),
    replica("r2", labels={"app": "server", "zone": "c", "canary": ""}, node="node-c", ready=False),
    replica("r3", labels={"app": "router"}, fields={"spec.restartPolicy": "Always"}),
    replica("r4", labels={"app": "server", "zone": "a"}, terminating=True),
    replica("r5", labels={"app": "server", "zone": "a"}, phase="Succeeded"),
    replica("o1", namespace="other", labels={"app": "server", "zone": "a"}),
]


def names(**selector: object) -> list[str]:
    model = Selector.model_validate({"namespaces": ["inference"], **selector})
    return [found.name for found in candidates(model, REPLICAS, NODES)]


def expression(key: str, operator: str, *values: str) -> list[dict[str, object]]:
    return [{"key": key, "operator": operator, "values": list(values)}]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param(
            {}, "r0 r1 r2 r3 r4 r5", id="nothing asked: all phases, unready and terminating included"
        ),
        pytest.param({"namespaces": ["other"]}, "o1", id="another namespace"),
        pytest.param(
            {"namespaces": ["other", "inference"]}, "o1 r0 r1 r2 r3 r4 r5", id="in the order of namespaces"
        ),
        pytest.param(
            {"namespaces": ["other", "absent", "other"]}, "o1 o1", id="namespace twice: candidates twice"
        ),
        pytest.param({"labelSelectors": {"app": "server"}}, "r0 r1 r2 r4 r5", id="label"),
        pytest.param({"labelSelectors": {"app": "server", "zone": "a"}}, "r0 r4 r5", id="labels are ANDed"),
        pytest.param({"labelSelectors": {"canary": ""}}, "r2", id="empty label is not an absent one"),
        pytest.param({"expressionSelectors": expression("zone", "In", "b", "c")}, "r1 r2", id="In"),
        pytest.param(
            {"expressionSelectors": expression("zone", "NotIn", "a")}, "r1 r2 r3", id="NotIn takes absent"
        ),
        pytest.param({"expressionSelectors": expression("canary", "Exists")}, "r2", id="Exists"),
        pytest.param({"expressionSelectors": expression("zone", "DoesNotExist")}, "r3", id="DoesNotExist"),
        pytest.param(
            {"expressionSelectors": expression("zone", "Exists") + expression("zone", "NotIn", "a")},
            "r1 r2",
            id="expressions are ANDed",
        ),
        pytest.param(
            {
                "labelSelectors": {"app": "server"},
                "expressionSelectors": expression("zone", "NotIn", "a", "b"),
            },
            "r2",
            id="label and expression are ANDed",
        ),
        pytest.param({"annotationSelectors": {"team": "serving"}}, "r0", id="annotation"),
        pytest.param({"fieldSelectors": {"metadata.name": "r3"}}, "r3", id="field name"),
        pytest.param(
            {"fieldSelectors": {"metadata.namespace": "other"}}, "", id="field of another namespace"
        ),
        pytest.param(
            {"fieldSelectors": {"metadata.namespace": "inference"}}, "r0 r1 r2 r3 r4 r5", id="field namespace"
        ),
        pytest.param({"fieldSelectors": {"spec.nodeName": "node-b"}}, "r1", id="field node"),
        pytest.param({"fieldSelectors": {"status.phase": "Running"}}, "r0 r2 r3 r4", id="field phase"),
        pytest.param({"fieldSelectors": {"spec.restartPolicy": "Always"}}, "r3", id="further field"),
        pytest.param(
            {"fieldSelectors": {"status.podIP": ""}}, "r0 r1 r2 r3 r4 r5", id="absent field is empty"
        ),
        pytest.param({"podPhaseSelectors": ["Pending", "Succeeded"]}, "r1 r5", id="phases are ORed"),
        pytest.param({"podPhaseSelectors": ["!Pending"]}, "r0 r2 r3 r4 r5", id="phase excluded"),
        pytest.param({"podPhaseSelectors": ["!Pending", "!Succeeded"]}, "r0 r2 r3 r4", id="phases excluded"),
        pytest.param({"podPhaseSelectors": ["Running", "!Running"]}, "", id="exclusion wins"),
        pytest.param({"nodes": ["node-b"]}, "r1", id="node"),
        pytest.param({"nodeSelectors": {"gpu": "h100"}}, "r0 r1 r3 r4 r5", id="node label"),
        pytest.param({"nodeSelectors": {"gpu": "h100", "zone": "b"}}, "r1", id="node labels are ANDed"),
        pytest.param(
            {"nodes": ["node-c"], "nodeSelectors": {"zone": "b"}}, "r1 r2", id="nodes and labels: union"
        ),
        pytest.param({"nodes": ["node-c"], "labelSelectors": {"zone": "a"}}, "", id="nodes and pods: ANDed"),
        pytest.param({"nodeSelectors": {"zone": "z"}}, "", id="node label of no node selects nothing"),
        pytest.param({"nodes": ["node-c"], "nodeSelectors": {"zone": "z"}}, "r2", id="union with no node"),
        pytest.param({"pods": {"inference": ["r3", "r1"]}}, "r3 r1", id="pods in their own order"),
        pytest.param(
            {"pods": {"inference": ["r1", "gone"], "absent": ["r1"]}}, "r1", id="missing pods are skipped"
        ),
        pytest.param({"pods": {"inference": ["r1", "r1"]}}, "r1 r1", id="pod twice: candidate twice"),
        pytest.param({"pods": {"inference": []}}, "", id="pods without names still win"),
        pytest.param(
            {
                "pods": {"other": ["o1"]},
                "namespaces": ["inference"],
                "labelSelectors": {"app": "x"},
                "nodes": ["no"],
            },
            "o1",
            id="pods win over every other selector",
        ),
    ],
)
def test_selection_is_that_of_chaos_mesh(selector: dict[str, object], expected: str) -> None:
    assert names(**selector) == expected.split()


def test_unknown_node_name_is_an_error_that_says_which_there_are() -> None:
    with pytest.raises(
        InputError, match=r"nodes\[1\]: expected a node .*\(node-a, node-b, node-c\), got 'node-x'"
    ):
        names(nodes=["node-a", "node-x"])


def test_candidates_do_not_depend_on_the_order_of_the_report() -> None:
    shuffled = Random(1).sample(REPLICAS, len(REPLICAS))
    selector = Selector.model_validate({"namespaces": ["inference", "other"]})
    assert candidates(selector, shuffled, NODES) == candidates(selector, REPLICAS, NODES)


def test_rounding_matches_go_in_every_cell() -> None:
    cells = [(count, percent) for count in range(1, 21) for percent in range(1, 101)]
    assert len(cells) == 2000
    for count, percent in cells:
        as_go_computes_it = math.ceil(float(count) * float(percent) / 100)
        exact = count * percent // 100 + (count * percent % 100 > 0)
        victims = draw(
            [replica(f"r{i}") for i in range(count)], "fixed-percent", str(percent), Random(0)
        ).victims
        assert len({victim.name for victim in victims}) == as_go_computes_it == exact, (count, percent)


@pytest.mark.parametrize(
    ("mode", "value", "count", "expected"),
    [
        ("one", "", 5, 1),
        ("all", "", 5, 5),
        ("fixed", "3", 5, 3),
        ("fixed", "9", 5, 5),
        ("fixed-percent", "30", 10, 3),
        ("fixed-percent", "30", 7, 3),
        ("fixed-percent", "30", 5, 2),
        ("fixed-percent", "30", 3, 1),
        ("fixed-percent", "1", 1, 1),
        ("fixed-percent", "100", 7, 7),
        ("random-max-percent", "30", 7, 3),
        ("one", "", 0, 0),
        ("fixed", "3", 0, 0),
        ("fixed-percent", "100", 0, 0),
    ],
)
def test_mode_decides_how_many(mode: Mode, value: str, count: int, expected: int) -> None:
    assert victims_count(mode, value, count) == expected


@pytest.mark.parametrize("mode", ["fixed", "fixed-percent", "random-max-percent"])
@pytest.mark.parametrize("value", ["0", "-1", "30%", "30.5", " 30", ""], ids=repr)
def test_draw_refuses_a_value_that_its_mode_cannot_use(mode: Mode, value: str) -> None:
    with pytest.raises(InputError, match=r"spec\.value: expected for mode .* got '"):
        draw(REPLICAS, mode, value, Random(0))


@pytest.mark.parametrize("mode", ["one", "all", "fixed", "fixed-percent", "random-max-percent"])
def test_nothing_to_draw_from_is_refused(mode: Mode) -> None:
    with pytest.raises(RefusedError, match="no replica matches"):
        draw([], mode, "1", Random(0))


MODES = st.sampled_from(["one", "all", "fixed", "fixed-percent", "random-max-percent"])


@given(st.integers(1, 30), MODES, st.integers(1, 100), st.integers(0, 2**64))
def test_draw_is_a_subset_of_the_right_size_without_replacement(
    count: int, mode: Mode, value: int, seed: int
) -> None:
    pool = [replica(f"r{i}") for i in range(count)]
    drawn = draw(pool, mode, str(value), Random(seed))
    assert drawn.candidates_count == count
    assert {victim.name for victim in drawn.victims} <= {each.name for each in pool}
    assert len({victim.name for victim in drawn.victims}) == len(drawn.victims)
    if mode == "random-max-percent":
        assert drawn.percent_drawn is not None
        assert 0 <= drawn.percent_drawn <= value
        assert len(drawn.victims) == math.ceil(count * drawn.percent_drawn / 100)
    else:
        assert drawn.percent_drawn is None
        assert len(drawn.victims) == victims_count(mode, str(value), count)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.integers(1, 9), st.integers(0, 99))
def test_draw_repeats_a_replica_no_more_often_than_the_candidates_do(
    listed: list[str], value: int, seed: int
) -> None:
    pool = [replica(name) for name in listed]
    drawn = draw(pool, "fixed", str(value), Random(seed))
    assert Counter(victim.name for victim in drawn.victims) <= Counter(listed)


@given(st.integers(1, 30), MODES, st.integers(1, 100), st.integers(0, 2**64))
def test_same_seed_draws_the_same_victims_in_the_same_order(
    count: int, mode: Mode, value: int, seed: int
) -> None:
    pool = [replica(f"r{i}") for i in range(count)]
    assert draw(pool, mode, str(value), Random(seed)) == draw(pool, mode, str(value), Random(seed))


def test_mode_all_keeps_the_order_of_the_candidates() -> None:
    assert draw(REPLICAS, "all", "", Random(7)).victims == tuple(REPLICAS)


def test_random_max_percent_may_draw_none() -> None:
    sizes = {len(draw(REPLICAS[:2], "random-max-percent", "1", Random(seed)).victims) for seed in range(20)}
    assert sizes == {0, 1}


def chi_square(observed: Counter[Any], cells: int) -> float:
    expected = observed.total() / cells
    return sum((count - expected) ** 2 / expected for count in observed.values()) + expected * (
        cells - len(observed)
    )


# Critical values at p = 0.001; the seeds are fixed, so that a pass stays a pass.
@pytest.mark.parametrize(
    ("mode", "value", "cells", "critical"),
    [
        pytest.param("one", "", list(combinations(range(10), 1)), 27.88, id="one of ten"),
        pytest.param("fixed", "2", list(combinations(range(10), 2)), 78.75, id="every pair of ten"),
        pytest.param(
            "fixed-percent", "30", list(combinations(range(10), 3)), 172.41, id="every three of ten"
        ),
    ],
)
def test_every_set_of_victims_is_equally_likely(
    mode: Mode, value: str, cells: list[tuple[int, ...]], critical: float
) -> None:
    pool = [replica(str(i)) for i in range(10)]
    rng = Random(20_260_101)
    observed = Counter(
        tuple(sorted(int(victim.name) for victim in draw(pool, mode, value, rng).victims))
        for _ in range(100_000)
    )
    assert set(observed) == set(cells)
    assert chi_square(observed, len(cells)) < critical


def test_every_percentage_up_to_the_maximum_is_equally_likely() -> None:
    rng = Random(20_260_101)
    observed = Counter(draw(REPLICAS, "random-max-percent", "30", rng).percent_drawn for _ in range(100_000))
    assert set(observed) == set(range(31))
    assert chi_square(observed, 31) < 59.70
