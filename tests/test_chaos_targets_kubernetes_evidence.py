"""Whether a pod is hit is told by the pod, its answers and its processes, never by whoever was to hit it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.targets.effects import (
    Bucket,
    Crash,
    Effect,
    Link,
    MemoryStress,
    Nothing,
    Outage,
    ProcessorStress,
    Termination,
    Traffic,
)
from chaos.targets.kubernetes.evidence import link as link_evidence
from chaos.targets.kubernetes.evidence import pod as pod_evidence
from chaos.targets.kubernetes.evidence import stress as stress_evidence
from chaos.targets.kubernetes.evidence.link import Asked
from chaos.targets.kubernetes.evidence.stress import Stressor
from chaos.targets.kubernetes.pods import Container, Pod

SERVER = Container("server", "server:1", 0, "id-1", running=True, started="", ended="", waits="")
POD = Pod("server-0", "uid-0", "node", ready=True, terminating=False, phase="Running", containers=(SERVER,))
DELETED = replace(POD, terminating=True)
ENDED = replace(SERVER, running=False, ended="exit code 137")
AGAIN = replace(SERVER, restarts=1, id="id-2", ended="exit code 137")
ASLEEP = replace(SERVER, image="pause:3", restarts=1)


def with_(container: Container, *, ready: bool = True) -> Pod:
    return replace(POD, containers=(container,), ready=ready)


@pytest.mark.parametrize(
    ("effect", "now", "hit"),
    [
        (Termination(0), None, True),
        (Termination(30), DELETED, True),
        (Termination(0), POD, False),
        (Termination(0), with_(AGAIN), False),
        (Crash(("server",)), with_(AGAIN), True),
        (Crash(("server",)), with_(ENDED, ready=False), True),
        (Crash(("server",)), POD, False),
        (Crash(("sidecar",)), with_(AGAIN), False),
        (Crash(("server",)), None, False),
        (Outage(), with_(ASLEEP, ready=False), True),
        (Outage(), with_(ASLEEP), False),
        (Outage(), with_(AGAIN, ready=False), False),
        (Outage(), None, False),
        (Nothing(), POD, True),
        (Nothing(), with_(AGAIN), False),
        (Nothing(), None, False),
    ],
)
def test_a_pod_is_hit_when_it_shows_the_effect(effect: Effect, now: Pod | None, *, hit: bool) -> None:
    assert pod_evidence.hit(effect, POD, now)[0] is hit


@pytest.mark.parametrize(("now", "over"), [(with_(ASLEEP), False), (with_(AGAIN), True), (None, True)])
def test_an_outage_is_over_when_the_image_is_back(now: Pod | None, *, over: bool) -> None:
    assert pod_evidence.over(Outage(), POD, now)[0] is over


CUT, DELAY = Link(Traffic(cut=True), Traffic(cut=True)), Link(Traffic(delay_s=0.2, jitter_s=0.01))
NARROW = Link(Traffic(bucket=Bucket(32_000, 4_000, 20_000)))
LOSS = Link(Traffic(loss=0.3))
USUAL = Asked((0.01, 0.012, 0.011), 0, 40_000)
SILENT = Asked((), 1, trouble="timed out")


@pytest.mark.parametrize(
    ("link", "now", "hit"),
    [
        (CUT, SILENT, True),
        (CUT, USUAL, False),
        (CUT, Asked((), 0, trouble="it is gone"), False),
        (DELAY, Asked((0.21, 0.22, 0.2), 0), True),
        (DELAY, Asked((0.21, 0.02, 0.2), 0), False),
        (DELAY, SILENT, False),
        (NARROW, Asked((1.2,), 0, 40_000), True),
        (NARROW, Asked((0.1,), 0, 40_000), False),
        (NARROW, Asked((1.2,), 0, 5_000), False),
        (LOSS, Asked((0.25,) * 10 + (0.01,) * 30, 0), True),
        (LOSS, Asked((0.25,) * 2 + (0.01,) * 38, 0), False),
    ],
)
def test_a_network_is_hit_when_requests_show_it(link: Link, now: Asked, *, hit: bool) -> None:
    assert link_evidence.hit(link, USUAL, now)[0] is hit


@pytest.mark.parametrize("link", [CUT, DELAY, NARROW, LOSS])
def test_what_answered_nothing_before_proves_nothing(link: Link) -> None:
    assert not link_evidence.hit(link, SILENT, SILENT)[0]


@pytest.mark.parametrize("link", [CUT, DELAY, NARROW, LOSS])
def test_a_network_that_is_as_it_was_is_over_and_not_hit(link: Link) -> None:
    assert link_evidence.over(link, USUAL, USUAL)[0]
    assert not link_evidence.hit(link, USUAL, USUAL)[0]


@pytest.mark.parametrize(
    ("link", "now"), [(CUT, SILENT), (DELAY, Asked((0.2,), 0)), (NARROW, Asked((1.2,), 0, 40_000))]
)
def test_a_network_that_is_still_hit_is_not_over(link: Link, now: Asked) -> None:
    assert not link_evidence.over(link, USUAL, now)[0]


def test_what_no_request_could_show_is_told_before_it_is_tried() -> None:
    assert link_evidence.visible(Link(Traffic(duplication=0.5))) is not None
    assert link_evidence.visible(Link(Traffic())) is not None
    assert all(link_evidence.visible(link) is None for link in (CUT, DELAY, NARROW, LOSS))


TABLE = """\
1 (python) S 0 1 1 0 -1 4194560 1 0 0 0 500 60 0 0 20 0 9 0 100 1000 25000 1 0
77 (stress-ng-cpu) R 1 77 1 0 -1 4194560 1 0 0 0 {cpu} 2 0 0 20 0 1 0 100 1000 300 1 0
78 (memStress) S 1 78 1 0 -1 4194560 1 0 0 0 9 1 0 0 20 0 1 0 100 1000 {pages} 1 0
cat: /proc/79/stat: No such process
"""


def table(cpu: int = 40, pages: int = 16000) -> dict[int, Stressor]:
    return stress_evidence.stressors(TABLE.format(cpu=cpu, pages=pages))


def test_stressors_are_read_off_a_process_table() -> None:
    assert table() == {
        77: Stressor("stress-ng-cpu", 42, 300 * 4096),
        78: Stressor("memStress", 10, 16000 * 4096),
    }


@pytest.mark.parametrize(
    ("effect", "second", "hit"),
    [
        (ProcessorStress(1), table(cpu=80), True),
        (ProcessorStress(1), table(cpu=40), False),
        (MemoryStress(1, size_bytes=64_000_000), table(), True),
        (MemoryStress(1, size_bytes=640_000_000), table(), False),
        (ProcessorStress(1), {}, False),
    ],
)
def test_stress_is_seen_in_what_its_processes_use(
    effect: ProcessorStress | MemoryStress, second: dict[int, Stressor], *, hit: bool
) -> None:
    assert stress_evidence.hit(effect, {}, table(), second)[0] is hit


def test_stressors_of_somebody_else_prove_nothing() -> None:
    assert not stress_evidence.hit(ProcessorStress(1), table(), table(), table(cpu=90))[0]
    assert stress_evidence.over(table(), table(cpu=90))[0]
    assert not stress_evidence.over({}, table())[0]


@given(st.text())
def test_no_text_is_taken_for_a_process_table_that_it_is_not(text: str) -> None:
    assert all(pid >= 0 for pid in stress_evidence.stressors(text))
