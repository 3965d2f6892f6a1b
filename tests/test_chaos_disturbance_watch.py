"""What is said of a disturbance while it goes on."""

from typing import Unpack

from chaos.display.disturbances import DisturbanceWatch
from chaos.display.progress import Facts
from chaos.measuring.objectives import Objectives
from chaos.measuring.recovery_time import Criteria
from loadtests.rows import Row

OBJECTIVES = Objectives(ttft_s=0.2, e2e_s=1.0)
CRITERIA = Criteria(window_s=2.0, hold_s=5.0)


class Heard:
    """Somebody who is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.disturbed_s: list[float | None] = []

    def phase(self, name: str, detail: str = "") -> None:
        raise AssertionError(name + detail)

    def update(self, **facts: Unpack[Facts]) -> None:
        self.disturbed_s.append(facts["disturbed_s"])

    def note(self, text: str) -> None:
        self.notes.append(text)

    def close(self) -> None:
        raise AssertionError


def row(at_s: float, outcome: str) -> Row:
    if outcome == "ok":
        return Row(0, at_s, "ok", dispatched_s=at_s, token_s=(at_s + 0.01,), ended_s=at_s + 0.02)
    return Row(0, at_s, outcome, dispatched_s=at_s, ended_s=at_s + 0.001)


def watched(outcomes: dict[tuple[float, float], str], until_s: float = 20.0) -> Heard:
    """Looks every 0.2 s at ten requests a second."""
    heard = Heard()
    watch = DisturbanceWatch(OBJECTIVES, CRITERIA, 2.0, heard)
    for look in range(int(until_s * 5)):
        now_s = (look + 1) / 5
        fresh = []
        for at_s in (now_s - 0.15, now_s - 0.05):
            said = next((what for (begin, end), what in outcomes.items() if begin <= at_s < end), "ok")
            fresh.append(row(at_s, said))
        watch.look(fresh, now_s)
    return heard


def test_a_disturbance_is_told_as_it_begins_and_once_it_seems_over() -> None:
    heard = watched({(10.0, 13.0): "connect_refused"})
    begins, ends = heard.notes
    assert begins == "disturbed since 10.1 s: 2 of the last 20 requests (connect_refused 2)"
    assert ends == "good again since 13.1 s, after 3.0 s"
    lasting = [told for told in heard.disturbed_s if told is not None]
    assert lasting == sorted(lasting)
    assert 3.0 < lasting[-1] < 4.3
    assert heard.disturbed_s[-1] is None


def test_what_is_tolerated_and_what_belongs_to_the_warm_up_is_not_told() -> None:
    assert watched({(1.0, 1.9): "http_503", (10.0, 10.1): "http_503"}).notes == []


def test_two_disturbances_are_told_apart() -> None:
    heard = watched({(5.0, 6.0): "http_503", (12.0, 13.0): "ttft_timeout"})
    assert [note.split()[0] for note in heard.notes] == ["disturbed", "good", "disturbed", "good"]
