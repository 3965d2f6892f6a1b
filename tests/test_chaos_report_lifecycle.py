import pytest

from chaos.events import Event
from chaos.measuring.columns import columns
from chaos.measuring.timeline import FaultWindow, Timeline
from chaos.report.lifecycle import MOST_LANES, Span, lanes, short_names, victims
from loadtests.rows import Row

KILL_S = 30.0


def run(events: list[Event], rows: tuple[Row, ...] = (), targets: tuple[str, ...] = ("a",)) -> Timeline:
    evidence = tuple(f"{target}: {target} is gone" for target in reversed(targets))
    fault = FaultWindow(
        "f", "pod-kill", "exact", KILL_S, None, targets, 3, verified=True, evidence=evidence, id="f#1"
    )
    return Timeline(columns(rows), tuple(events), len(rows), 5.0, 70.0, 3, (fault,))


def served(index: int, replica: str, ended_s: float) -> Row:
    return Row(index, ended_s - 1, "ok", ended_s=ended_s, replica=replica)


REPLACED = [
    Event(-3, "replica_created", "a"),
    Event(-2, "replica_running", "a"),
    Event(-1, "replica_ready", "a"),
    Event(KILL_S, "replica_killed", "a"),
    Event(30.5, "replica_gone", "a"),
    Event(31, "replica_created", "b"),
    Event(36, "replica_ready", "b"),
]


def test_a_lane_shows_each_state_from_the_start_of_the_plan_to_the_end_of_the_run() -> None:
    old, new = lanes(run(REPLACED, (served(0, "a", 8.0), served(1, "b", 37.0))), 70.0)
    assert old.spans == (Span("ready", 0.0, KILL_S), Span("dying", KILL_S, 30.5))
    assert old.signalled_s == (KILL_S,)
    assert old.served_s is None
    assert new.spans == (Span("starting", 31, 36), Span("ready", 36, 70.0))
    assert new.served_s == 37.0


def test_a_victim_is_told_with_its_replacement_and_its_own_evidence() -> None:
    rows = (served(0, "b", 37.5), served(1, "b", 36.5))
    victim, other = victims(run(REPLACED, rows, targets=("a", "other")))
    assert (victim.replica, victim.hit_s, victim.evidence) == ("a", KILL_S, "a is gone")
    assert (other.replica, other.gone, other.replacement) == ("other", False, None)
    assert (victim.replacement, victim.ready_after_s, victim.served_after_s) == ("b", 6.0, 6.5)


def test_a_victim_that_nothing_replaced_says_so() -> None:
    [victim] = victims(run(REPLACED[:5]))
    assert (victim.replacement, victim.ready_after_s, victim.served_after_s) == (None, None, None)


def test_a_replica_restarted_under_its_own_name_is_its_own_replacement() -> None:
    again = [*REPLACED[:5], Event(31, "replica_restarted", "a"), Event(33, "replica_ready", "a")]
    [victim] = victims(run(again, (served(0, "a", 8.0), served(1, "a", 34.0))))
    assert (victim.replacement, victim.ready_after_s, victim.served_after_s) == ("a", 3.0, 4.0)


def test_a_kill_by_a_liveness_probe_makes_no_victim() -> None:
    [victim] = victims(
        run([Event(12, "replica_killed", "c"), Event(12, "replica_killed", "a"), *REPLACED[:3]])
    )
    assert (victim.replica, victim.gone, victim.hit_s) == ("a", False, KILL_S)


def test_of_very_many_replicas_the_eventful_ones_are_kept() -> None:
    calm = [Event(-1, "replica_ready", f"calm-{i}") for i in range(2 * MOST_LANES)]
    shown = lanes(run([*calm, *REPLACED]), 70.0)
    assert len(shown) == MOST_LANES
    assert {"a", "b"} <= {lane.replica for lane in shown}


@pytest.mark.parametrize(
    ("names", "prefix", "short"),
    [
        (["app-7f-x1", "app-7f-y2"], "app-7f-", ["x1", "y2"]),
        (["app-7f-x1", "app-8a-x1"], "app-", ["7f-x1", "8a-x1"]),
        (["one", "two"], "", ["one", "two"]),
        (["app", "app-1"], "", ["app", "app-1"]),
        (["app-1"], "", ["app-1"]),
        ([], "", []),
    ],
    ids=str,
)
def test_names_are_shortened_by_whole_parts_that_all_share(
    names: list[str], prefix: str, short: list[str]
) -> None:
    assert short_names(names) == (prefix, short)
