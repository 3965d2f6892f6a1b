import asyncio
import json
import math
import socket
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.targets.local import naming
from chaos.targets.local.ports import free_port, is_free
from chaos.targets.local.probes import Thresholds
from chaos.targets.local.spec import LocalSpec, ProbeSpec, RestartSpec
from chaos.targets.local.supervisor import Lease

SPEC = LocalSpec("run-1", Path("runs/x"), 10, ("python", "-m", "server", "--port", "{port}"), name_seed=42)


def changed(**changes: Any) -> LocalSpec:
    return LocalSpec(**{**{name: getattr(SPEC, name) for name in LocalSpec.__slots__}, **changes})


@given(
    st.fixed_dictionaries(
        {
            "replicas": st.integers(1, 50),
            "env": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
            "zones": st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=3).map(tuple),
            "lease_s": st.floats(0.001, 1e6),
            "prometheus": st.booleans(),
            "name_seed": st.none() | st.integers(),
            "liveness": st.builds(ProbeSpec, st.just("/live"), st.just(0.1), st.just(2.5), st.integers(1, 9)),
            "restart": st.builds(RestartSpec, st.floats(0, 1), st.floats(1, 9), st.floats(1, 9)),
        }
    )
)
def test_a_spec_is_the_same_after_its_way_through_json(changes: dict[str, Any]) -> None:
    spec = changed(**changes)
    assert LocalSpec.from_wire(json.loads(json.dumps(spec.to_wire()))) == spec


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 0},
        {"command": ()},
        {"zones": ()},
        {"lease_s": 0.0},
        {"ready_within_s": -1.0},
        {"labels": {"zone": "mine"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_spec_that_cannot_be_run_cannot_be_made(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each message says what is wrong in its own words
        changed(**change)


@pytest.mark.parametrize(
    "fields",
    [("readyz", 1.0, 1.0, 1), ("/readyz", 0.0, 1.0, 1), ("/readyz", 1.0, 0.0, 1), ("/readyz", 1.0, 1.0, 0)],
    ids=["path without slash", "no period", "no timeout", "no threshold"],
)
def test_a_probe_that_cannot_be_asked_cannot_be_made(fields: tuple[str, float, float, int]) -> None:
    with pytest.raises(ValueError, match="probe"):
        ProbeSpec(*fields)


def test_placeholders_are_filled_in_the_command_and_the_environment_and_other_braces_are_left_alone() -> None:
    spec = changed(
        command=("vllm", "{port}", '--x={"a": {metrics_port}}'), env={"ME": "{name}", "BRACES": "{}{other}"}
    )
    assert spec.command_for("pod-1", 80, 81) == ("vllm", "80", '--x={"a": 81}')
    assert spec.env_for("pod-1", 80, 81) == {"ME": "pod-1", "BRACES": "{}{other}"}


def test_names_look_like_a_deployments() -> None:
    names = naming.Names(SPEC)
    drawn = [names.draw() for _ in range(20_000)]  # of 27 ** 5: some 14 would come twice by chance
    assert len(set(drawn)) == 20_000
    prefix = f"reference-server-{naming.template_hash(SPEC)}-"
    assert all(name.startswith(prefix) and len(name) == len(prefix) + 5 for name in drawn)
    assert len(naming.template_hash(SPEC)) == 9


def test_the_template_hash_is_of_what_replicas_are_made_from_alone() -> None:
    assert naming.template_hash(changed(replicas=3, run_id="other")) == naming.template_hash(SPEC)
    assert naming.template_hash(changed(env={"A": "1"})) != naming.template_hash(SPEC)


def test_a_seed_makes_names_repeatable_and_no_seed_does_not() -> None:
    assert [r.name for r in naming.planned(SPEC)] == [r.name for r in naming.planned(SPEC)]
    assert [r.name for r in naming.planned(changed(name_seed=43))] != [r.name for r in naming.planned(SPEC)]
    unseeded = changed(name_seed=None)
    assert [r.name for r in naming.planned(unseeded)] != [r.name for r in naming.planned(unseeded)]


def test_planned_replicas_live_round_robin_and_carry_their_labels() -> None:
    planned = naming.planned(changed(labels={"team": "a"}))
    assert [replica.labels["zone"] for replica in planned[:4]] == ["zone-a", "zone-b", "zone-c", "zone-a"]
    assert planned[1].node == "node-zone-b"
    assert planned[1].labels == {
        "team": "a",
        "app": "reference-server",
        "zone": "zone-b",
        "pod-template-hash": naming.template_hash(changed(labels={"team": "a"})),
    }
    nodes = {node.name: node.labels[naming.ZONE_LABEL] for node in naming.nodes(SPEC)}
    assert nodes == {"node-zone-a": "zone-a", "node-zone-b": "zone-b", "node-zone-c": "zone-c"}


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_a_replacement_goes_to_a_zone_with_the_fewest(occupied: list[str]) -> None:
    count = Counter(occupied)
    assert count[naming.emptiest("abc", occupied)] == min(count[zone] for zone in "abc")


@pytest.mark.parametrize(
    ("lived_s", "delays_s"),
    [
        ([0, 0, 0, 0, 0, 0], [0, 10, 20, 40, 80, 160]),
        ([0] * 9, [0, 10, 20, 40, 80, 160, 300, 300, 300]),
        ([0, 0, 600, 0], [0, 10, 0, 10]),
        ([599, 599], [0, 10]),
    ],
    ids=["doubles", "is capped", "starts anew after ten minutes of life", "and not a second earlier"],
)
def test_the_back_off_is_the_kubelets(lived_s: list[float], delays_s: list[float]) -> None:
    restart = RestartSpec(initial_s=10, max_s=300, reset_after_s=600)
    in_a_row = [*accumulate(lived_s, restart.in_a_row, initial=0)][1:]
    assert [restart.wait_s(ends) for ends in in_a_row] == delays_s


def test_a_process_that_never_stops_crashing_never_overflows_its_wait() -> None:
    assert all(math.isfinite(RestartSpec().wait_s(ends)) for ends in range(5000))


@pytest.mark.parametrize(
    ("verdict", "seen", "verdicts"),
    [
        (True, [0, 0, 0, 0], [1, 1, 0, 0]),
        (True, [0, 0, 1, 0, 0], [1, 1, 1, 1, 1]),
        (False, [1, 0, 1, 1], [0, 0, 0, 1]),
        (True, [0, 0, 0, 1, 1], [1, 1, 0, 0, 1]),
    ],
    ids=["third failure turns it", "a pass starts the count anew", "second pass turns it", "there and back"],
)
def test_a_verdict_turns_after_enough_answers_in_a_row(
    verdict: bool, seen: Sequence[int], verdicts: Sequence[int]
) -> None:
    probe = ProbeSpec("/", 1.0, 1.0, failure_threshold=3, success_threshold=2)
    thresholds = Thresholds(probe, verdict=verdict)
    assert [thresholds.observe(passed=bool(each)) for each in seen] == [bool(each) for each in verdicts]


def test_a_promised_or_used_port_is_not_handed_out() -> None:
    taken = {free_port(()) for _ in range(50)}
    assert free_port(taken) not in taken
    with pytest.raises(OSError, match="no free port"):
        free_port(range(65_536))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not is_free(listener.getsockname()[1])


def test_a_lease_lapses_in_silence_and_holds_while_it_is_renewed() -> None:
    async def renewed_for(renewals: int) -> bool:
        lease = Lease(0.2)
        lapse = asyncio.ensure_future(lease.lapse())
        for _ in range(renewals):
            await asyncio.sleep(0.05)
            lease.renew()
        held = not lapse.done()
        await asyncio.wait_for(lapse, 5)
        return held

    assert asyncio.run(renewed_for(10))
