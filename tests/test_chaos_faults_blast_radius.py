"""Guards before injecting: nothing is trimmed, refusals name names, and what could be hit is known before."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.errors import ExitCode, InputError, RefusedError
from chaos.faults.blast_radius import ZONE_LABEL, BlastRadius, check, possible, targets
from chaos.faults.fault import Fault
from chaos.faults.manifest import Mode, Selection, Selector
from chaos.faults.pod_kill import KIND
from chaos.faults.selection import Draw, draw
from chaos.reading.documents import Document
from chaos.targets import Node, Replica


def replica(name: str, namespace: str = "inference") -> Replica:
    return Replica(name, namespace, "", labels={}, annotations={}, node="node-a", phase="Running", ready=True)


def kill(mode: Mode, value: str = "") -> Fault:
    return Fault(
        name="drill",
        namespace="inference",
        kind=KIND,
        selection=Selection(mode=mode, selector=Selector(), value=value),
        duration_s=None,
        effects=(),
        document=Document(Path("drill.yaml"), {}, {}),
        spec={},
    )


NODES = [Node("node-a", {ZONE_LABEL: "zone-a"}), Node("node-b", {ZONE_LABEL: "zone-b"})]
TEN = [replica(f"r{i}") for i in range(10)]


@pytest.mark.parametrize(
    ("mode", "value", "fewest", "most"),
    [
        ("one", "", 1, 1),
        ("all", "", 10, 10),
        ("fixed", "4", 4, 4),
        ("fixed", "40", 10, 10),
        ("fixed-percent", "21", 3, 3),
        ("random-max-percent", "21", 0, 3),
    ],
)
def test_possible_says_how_many_and_who(mode: Mode, value: str, fewest: int, most: int) -> None:
    found = possible(TEN, mode, value)
    assert (found.fewest, found.most, found.replicas) == (fewest, most, tuple(TEN))


def test_nothing_is_possible_without_candidates() -> None:
    found = possible([], "all", "")
    assert (found.fewest, found.most, found.replicas) == (0, 0, ())


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6), st.integers(1, 7))
def test_candidates_listed_twice_are_bounded_exactly(listed: list[str], value: int) -> None:
    found = possible([replica(name) for name in listed], "fixed", str(value))
    sizes = {len(set(chosen)) for chosen in combinations(listed, min(value, len(listed)))}
    assert (found.fewest, found.most) == (min(sizes), max(sizes))
    assert sorted(each.name for each in found.replicas) == sorted(set(listed))


@pytest.mark.parametrize(
    ("mode", "value", "max_targets"),
    [("one", "", 1), ("fixed-percent", "30", 3), ("random-max-percent", "30", 3), ("all", "", 10)],
)
def test_fault_within_its_radius_passes(mode: Mode, value: str, max_targets: int) -> None:
    assert check(kill(mode, value), TEN, BlastRadius(max_targets), NODES, 10).most == max_targets


@pytest.mark.parametrize(
    ("mode", "value", "max_targets"),
    [("fixed-percent", "31", 3), ("random-max-percent", "31", 3), ("all", "", 9), ("fixed", "2", 1)],
)
def test_fault_that_could_reach_further_is_refused_whatever_the_draw(
    mode: Mode, value: str, max_targets: int
) -> None:
    with pytest.raises(
        RefusedError, match=rf"drill\.yaml could hit .* at most max_targets {max_targets}"
    ) as caught:
        check(kill(mode, value), TEN, BlastRadius(max_targets), NODES, 10)
    assert all(f"inference/r{i}" in str(caught.value) for i in range(10))
    assert caught.value.exit_code == ExitCode.INCONCLUSIVE


@pytest.mark.parametrize(
    ("value", "wanted", "fits"), [("30", 10, True), ("31", 10, False), ("30", 9, False), ("29", 10, True)]
)
def test_a_share_of_the_wanted_replicas_bounds_a_fault_too(value: str, wanted: int, *, fits: bool) -> None:
    fault, radius = kill("fixed-percent", value), BlastRadius(10, max_share=0.3)
    if fits:
        assert check(fault, TEN, radius, NODES, wanted).most == 3
        return
    with pytest.raises(RefusedError, match=rf"of {wanted} replicas; .* at most max_share 0\.3"):
        check(fault, TEN, radius, NODES, wanted)


def test_a_refusal_names_some_replicas_and_counts_the_others() -> None:
    crowd = [replica(f"r-{number}") for number in range(100_000)]
    with pytest.raises(RefusedError) as refused:
        check(kill("all"), crowd, BlastRadius(3), NODES, len(crowd))
    assert "inference/r-0, " in str(refused.value)
    assert "inference/r-9 and 99,990 more; the experiment allows" in str(refused.value)
    with pytest.raises(RefusedError, match="and 99,990 more") as protected:
        check(kill("all"), crowd, BlastRadius(3, ("inference",)), NODES, len(crowd))
    assert max(len(str(each.value)) for each in (refused, protected)) < 400


def test_selector_that_matches_nothing_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"no replica matches the selector of drill\.yaml"):
        check(kill("all"), [], BlastRadius(10), NODES, 10)


@pytest.mark.parametrize(
    ("radius", "named"),
    [
        (BlastRadius(10, protected_namespaces=("kube-system",)), "kube-system/dns-0, kube-system/dns-1"),
        (BlastRadius(10, protected_pods=("inference/r3",)), "inference/r3"),
        (BlastRadius(10, protected_zones=("zone-b",)), "kube-system/dns-0, kube-system/dns-1"),
        (BlastRadius(10, protected_labels={"tier": "gold", "keep": "yes"}), "inference/r1"),
        (
            BlastRadius(10, ("kube-system",), ("inference/r3",)),
            "inference/r3, kube-system/dns-0, kube-system/dns-1",
        ),
    ],
    ids=["namespace", "pod", "zone", "label", "both"],
)
def test_one_protected_candidate_refuses_everything_by_name(radius: BlastRadius, named: str) -> None:
    dns = [replace(replica(name, "kube-system"), node="node-b") for name in ("dns-0", "dns-1")]
    found = [*TEN, *dns]
    found[1] = replace(found[1], labels={"tier": "gold"})
    with pytest.raises(RefusedError, match=f"matches what is protected: {named}$"):
        check(kill("one"), found, radius, NODES, 10)


def test_protection_of_what_is_not_selected_changes_nothing() -> None:
    radius = BlastRadius(
        1, protected_namespaces=("kube-system",), protected_pods=("other/r3", "inference/r33")
    )
    assert check(kill("one"), TEN, radius, NODES, 10).most == 1


def test_value_that_the_mode_cannot_use_is_wrong_input() -> None:
    with pytest.raises(InputError, match=r"a whole number 1\.\.100"):
        check(kill("fixed-percent", "0"), TEN, BlastRadius(10), NODES, 10)


def test_targets_are_the_victims_each_once_in_the_order_of_the_draw() -> None:
    doubled = Draw((TEN[3], TEN[1], TEN[3]), candidates_count=20, percent_drawn=None)
    assert targets(doubled) == (TEN[3], TEN[1])
    drawn = draw(TEN, "fixed", "3", Random(42))
    assert targets(drawn) == drawn.victims


def test_draw_that_took_none_is_refused_with_the_percentage_drawn() -> None:
    with pytest.raises(RefusedError, match=r"no target was drawn: random-max-percent drew 0 % of 10"):
        targets(Draw((), candidates_count=10, percent_drawn=0))
