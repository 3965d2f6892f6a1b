"""The walk through the nodes of a Workflow: what it injects and asks when, as far as the answers are known.

Pure. How long a StatusCheck takes depends on what it is answered: until that is known it is taken to last as long as it
may, and everything after it is as late as can be. What follows it must begin in any case, so that a run knows before
it begins what it is going to inject; only a StatusCheck that aborts the Workflow takes anything away.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from chaos.faults.occurrence import Occurrence, Planned
from chaos.faults.status_check import StatusCheckSpec
from chaos.reading.quantities import go_duration_ns

DELETED_LATER_S = 0.25
"""How much later than its node's deadline a fault is out: 0.28 s on a live one."""
_MOST_NODES = 1_000
_MOST_DEEP = 50


@dataclass(frozen=True, slots=True)
class Node:
    """One template, understood."""

    type: str
    deadline_s: float | None
    children: tuple[str, ...]
    part: Planned | None
    """The fault or the Schedule that it creates."""
    check: StatusCheckSpec | None = None
    """The StatusCheck that it creates."""
    aborts: bool = False
    """Whether the Workflow is aborted by a StatusCheck that does not succeed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One StatusCheck, once."""

    place: str
    """Where in the tree it is."""
    name: str
    """Of its template."""
    spec: StatusCheckSpec
    at_s: float
    """When it is created."""
    deleted_s: float | None
    """When its node is over at the latest, and it is deleted; None: never."""
    aborts: bool
    """Whether the Workflow is aborted where it does not succeed."""

    @property
    def asks(self) -> str:
        """In words: `GET http://service/healthz every 1 s, for status 200`."""
        http = self.spec.http
        assert http is not None
        return f"{http.method} {http.url} every {self.spec.interval_seconds} s, for status {http.criteria.status_code}"

    @property
    def expires_s(self) -> float | None:
        """When it has gone on for its own duration; None where it has none."""
        try:
            lasts_ns = None if self.spec.duration is None else go_duration_ns(self.spec.duration)
        except ValueError:  # with one that cannot be read it is never complete
            return None
        return None if lasts_ns is None else self.at_s + lasts_ns / 1e9

    @property
    def ends_s(self) -> float | None:
        """When it is over at the latest; None: never."""
        return min((at_s for at_s in (self.deleted_s, self.expires_s) if at_s is not None), default=None)

    @property
    def earliest_s(self) -> float | None:
        """When it can be over at the earliest, by its thresholds."""
        spec = self.spec
        answers = spec.failure_threshold
        if spec.mode == "Synchronous":
            answers = min(answers, spec.success_threshold)
        by_answers_s = self.at_s + answers * spec.interval_seconds
        return by_answers_s if self.ends_s is None else min(by_answers_s, self.ends_s)


@dataclass(frozen=True, slots=True)
class Course:
    """What became of a node, and of all beneath it."""

    over_s: float | None
    """When it was over; None: never."""
    occurrences: tuple[Occurrence, ...] = ()
    checks: tuple[Check, ...] = ()
    after_check: str | None = None
    """The place of the StatusCheck that decides when it is over; None where none does."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a Workflow's StatusChecks."""

    over_s: Mapping[str, float] = field(default_factory=dict)
    """When they were over, by place."""
    aborted_s: float | None = None
    """When one of them has aborted the Workflow."""


def course(
    nodes: Mapping[str, Node], entry: str, at_s: float, until_s: float | None, known: Known | None = None
) -> Course:
    """What happens when it is created at one time and deleted at another, or not at all.

    Raises:
        ValueError: a node of it goes on for ever, there are more than anybody can have meant, or the answer to a
            StatusCheck could decide that a fault never begins.
    """
    found = _walk(nodes, entry, at_s, until_s, lambda check: check.ends_s)
    for check in found.checks:
        if check.ends_s is None:
            raise ValueError(f"the StatusCheck {check.name} has neither a deadline nor a duration")
    if found.checks:
        at_best = _walk(nodes, entry, at_s, until_s, lambda check: check.earliest_s)
        began = {each.place for each in found.occurrences}
        if lost := [each.fault.name for each in at_best.occurrences if each.place not in began]:
            raise ValueError(f"a StatusCheck that takes long leaves no time for {lost[0]} to begin")
    if known is None:
        return found
    ends_s = [each for each in (until_s, known.aborted_s) if each is not None]
    return _walk(
        nodes,
        entry,
        at_s,
        min(ends_s, default=None),
        lambda check: known.over_s.get(check.place, check.ends_s),
    )


def _walk(
    nodes: Mapping[str, Node],
    entry: str,
    at_s: float,
    until_s: float | None,
    over_s: Callable[[Check], float | None],
) -> Course:
    walked = _Walk(nodes, over_s).walk(entry, "0", at_s, until_s, None)
    in_order = sorted(walked.occurrences, key=lambda each: each.at_s)
    return replace(walked, occurrences=tuple(in_order))


class _Walk:
    """One walk."""

    def __init__(self, nodes: Mapping[str, Node], over_s: Callable[[Check], float | None]) -> None:
        self._nodes = nodes
        self._check_over_s = over_s
        self._left = _MOST_NODES

    def walk(self, name: str, place: str, at_s: float, until_s: float | None, after: str | None) -> Course:
        """A node that begins at one time, after a StatusCheck or none, and must be over at another."""
        self._left -= 1
        if self._left < 0 or place.count(".") > _MOST_DEEP:
            raise ValueError(f"it has more than {_MOST_NODES} nodes, or more than {_MOST_DEEP} in each other")
        node = self._nodes[name]
        own_s = None if node.deadline_s is None else at_s + node.deadline_s
        ends_s = min((time_s for time_s in (own_s, until_s) if time_s is not None), default=None)
        if node.type == "Serial":
            return self._one_by_one(node, place, at_s, ends_s, after)
        if node.type == "Parallel":
            return self._side_by_side(node, place, at_s, ends_s, after)
        if node.check is not None:
            check = Check(place, name, node.check, at_s, ends_s, node.aborts)
            return Course(self._check_over_s(check), (), (check,), place)
        if node.part is None:
            return Course(ends_s, after_check=after)
        # What a node creates is there until its deadline, however long it would have lasted.
        gone_s = None if ends_s is None else ends_s + DELETED_LATER_S
        found = (
            replace(each, place=f"{place}#{number}", after_check=after)
            for number, each in enumerate(node.part.occurrences(at_s, gone_s))
        )
        return Course(ends_s, tuple(found), after_check=after)

    def _one_by_one(
        self, node: Node, place: str, at_s: float, ends_s: float | None, after: str | None
    ) -> Course:
        now_s: float | None = at_s
        walked: list[Course] = []
        for number, child in enumerate(node.children):
            if now_s is None or (ends_s is not None and now_s >= ends_s):
                break
            walked.append(self.walk(child, f"{place}.{number}", now_s, ends_s, after))
            now_s, after = walked[-1].over_s, walked[-1].after_check
        return _together(walked, ends_s if now_s is None else now_s, after)

    def _side_by_side(
        self, node: Node, place: str, at_s: float, ends_s: float | None, after: str | None
    ) -> Course:
        walked = [
            self.walk(child, f"{place}.{number}", at_s, ends_s, after)
            for number, child in enumerate(node.children)
        ]
        over_s: float | None = at_s
        for each in walked:
            over_s = None if over_s is None or each.over_s is None else max(over_s, each.over_s)
        checked = [each for each in walked if each.after_check is not None]
        latest = max(checked, key=lambda each: each.over_s or 0.0, default=None)
        return _together(
            walked, ends_s if over_s is None else over_s, after if latest is None else latest.after_check
        )


def _together(walked: list[Course], over_s: float | None, after: str | None) -> Course:
    return Course(
        over_s,
        tuple(occurrence for each in walked for occurrence in each.occurrences),
        tuple(check for each in walked for check in each.checks),
        after,
    )
