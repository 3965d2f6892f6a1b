"""Which replicas are out of rotation: a state machine over what became of attempts, with explicit time.

A replica is in, out until an instant, or on trial: after its time it gets one request, and whether that ends well
decides. Nothing here waits, sends or looks at a clock: whoever forwards requests says what happened, and `look` at a
steady pace.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import floor

from chaos.targets.local.gateway.peers import Tally, beyond_chance, share_meanwhile, usual_share
from chaos.targets.local.gateway.spec import EjectionSpec


class Ending(Enum):
    """What an attempt that generates says about its replica."""

    GOOD = "good"
    """A complete answer, or one that is the client's to correct (4xx)."""
    ERROR = "error"
    BROKEN = "broken"
    NOTHING = "nothing"
    """Its client left, or it was refused because the replica is full: alive, and no fault of its own."""


class Kind(Enum):
    """What a replica can be worse at than its peers."""

    ERRORS = "errors"
    BROKEN_STREAMS = "broken streams"
    FIRST_TOKEN = "slow first tokens"  # noqa: S105 - of a language model
    PACE = "slow tokens"


TRIAL = "failed trial"
REASONS = (*(kind.value for kind in Kind), TRIAL)
"""Why a replica can be ejected."""
_KIND_OF = {Ending.ERROR: Kind.ERRORS, Ending.BROKEN: Kind.BROKEN_STREAMS}
_SLOW = (Kind.FIRST_TOKEN, Kind.PACE)
_RARE = 0.1
_SLOW_IN_A_ROW = 10
"""Slow answers come in bunches where a queue has formed, as no failure does."""


@dataclass(frozen=True, slots=True)
class Change:
    """A replica went out of rotation, or came back."""

    at_s: float
    replica: str
    ejected: bool
    kind: str
    """Of reason, in a word or two: one of few."""
    why: str
    for_s: float = 0.0
    """How long it is out at least, where it was ejected."""


@dataclass(slots=True)
class _Standing:
    """One replica's."""

    ready: bool
    tallies: dict[Kind, Tally] = field(default_factory=lambda: {kind: Tally() for kind in Kind})
    out_until_s: float | None = None
    """None while it is in rotation."""
    on_trial: bool = False
    times: int = 0
    """It was ejected, lately."""
    back_s: float = 0.0
    """When it last came back."""


class Ejector:
    """Who is out, of all replicas."""

    def __init__(self, spec: EjectionSpec) -> None:
        self._spec = spec
        self._standings: dict[str, _Standing] = {}
        self._changes: list[Change] = []
        self._usual = dict.fromkeys(Kind, 1.0)
        """The peers' share of bad endings, as last looked at."""
        self._kinds = tuple(
            kind
            for kind in Kind
            if (spec.errors and kind is Kind.ERRORS)
            or (spec.broken_streams and kind is Kind.BROKEN_STREAMS)
            or (spec.latency and kind in _SLOW)
        )

    def update(self, ready: Mapping[str, bool], now_s: float) -> None:
        """Which replicas there are, and whether their probes pass.

        One whose probes failed and pass again is in: what was wrong with it was noticed elsewhere, and is over.
        """
        self._standings = {
            name: self._standings.get(name) or _Standing(passes) for name, passes in ready.items()
        }
        for name, passes in ready.items():
            standing = self._standings[name]
            if passes and not standing.ready:
                self._admit(name, standing, now_s, "its readiness probes pass again")
            standing.ready = passes
        while len(out := self.out) > self._allowed:
            soonest = min(out, key=lambda name: self._standings[name].out_until_s or 0.0)
            self._admit(soonest, self._standings[soonest], now_s, "fewer replicas are left")

    @property
    def out(self) -> Sequence[str]:
        """Names of those who are out of rotation, or on trial."""
        return [name for name, each in self._standings.items() if each.out_until_s is not None]

    def is_in(self, name: str) -> bool:
        """Whether it is in rotation."""
        standing = self._standings.get(name)
        return standing is None or standing.out_until_s is None

    def awaits_trial(self, name: str, now_s: float) -> bool:
        """Whether it is out, its time is over, and it has no trial yet."""
        standing = self._standings.get(name)
        return (
            standing is not None
            and standing.out_until_s is not None
            and not standing.on_trial
            and standing.out_until_s <= now_s
        )

    @property
    def silence_is_rare(self) -> bool:
        """Whether a stream that does not begin in time is so unusual that another replica is worth a try."""
        return self._usual[Kind.BROKEN_STREAMS] < _RARE

    def begin_trial(self, name: str) -> None:
        """The next request goes to it; how that ends is told by `ended` with `trial`."""
        self._standings[name].on_trial = True

    def ended(self, name: str, ending: Ending, now_s: float, *, trial: bool = False) -> None:
        """An attempt that generates ended at a replica, or was silent for too long."""
        standing = self._standings.get(name)
        if standing is None:
            return
        for kind, tally in standing.tallies.items():
            if kind not in _SLOW and ending is not Ending.NOTHING:
                if ending is Ending.GOOD:
                    tally.add(now_s, bad=False)
                elif _KIND_OF[ending] is kind:
                    tally.add(now_s, bad=True)
        if trial and standing.on_trial:
            standing.on_trial = False
            if ending is Ending.GOOD:
                self._admit(name, standing, now_s, "its trial request ended well")
            elif ending is not Ending.NOTHING:
                self._eject(name, standing, now_s, TRIAL, f"its trial request: {ending.value}")

    def paced(self, name: str, kind: Kind, now_s: float, *, slow: bool) -> None:
        """How a first token, or the pace of the others, compared with the peers'."""
        if standing := self._standings.get(name):
            standing.tallies[kind].add(now_s, bad=slow)

    def look(self, now_s: float) -> None:
        """Eject whoever is worse than the peers beyond chance, the worst first, as far as the largest share allows."""
        inside = {
            name: each for name, each in self._standings.items() if each.out_until_s is None and each.ready
        }
        for standing in inside.values():
            if standing.times and now_s - standing.back_s >= self._spec.longest_s:
                standing.times = 0
        for kind in self._kinds:
            tallies = {name: each.tallies[kind] for name, each in inside.items()}
            for tally in tallies.values():
                tally.forget(now_s)
            worse = self._standing_out(kind, tallies)
            for name in sorted(worse, key=lambda name: -worse[name].bad):
                if len(self.out) < self._allowed and inside[name].out_until_s is None:
                    self._eject(name, inside[name], now_s, kind.value, _figures(worse[name]))

    def changes(self) -> Iterator[Change]:
        """What happened since this was last asked."""
        changes, self._changes = self._changes, []
        yield from changes

    def _standing_out(self, kind: Kind, tallies: Mapping[str, Tally]) -> dict[str, Tally]:
        """Who did worse than the others beyond chance: many times in a row, or often."""
        at_least, aside = _SLOW_IN_A_ROW if kind in _SLOW else self._spec.consecutive, self._spec.most
        usual = self._usual[kind] = usual_share(tallies.values(), aside)
        found = {}
        for name, tally in tallies.items():
            run = tally.in_a_row
            if run >= at_least and beyond_chance(run, run, usual):
                meanwhile = share_meanwhile(tallies.values(), tally.began_s, aside)
                if beyond_chance(run, run, max(usual, meanwhile)):
                    found[name] = tally
            elif tally.bad >= 2 * at_least and beyond_chance(tally.bad, tally.count, usual):
                found[name] = tally
        return found

    @property
    def _allowed(self) -> int:
        """How many may be out."""
        return floor(len(self._standings) * self._spec.most)

    def _eject(self, name: str, standing: _Standing, now_s: float, kind: str, why: str) -> None:
        for_s = min(self._spec.base_s * 2.0 ** min(standing.times, 32), self._spec.longest_s)
        standing.times += 1
        standing.out_until_s = now_s + for_s
        self._changes.append(Change(now_s, name, ejected=True, kind=kind, why=why, for_s=for_s))

    def _admit(self, name: str, standing: _Standing, now_s: float, why: str) -> None:
        standing.on_trial = False
        standing.tallies = {kind: Tally() for kind in Kind}
        if standing.out_until_s is None:
            return
        standing.out_until_s, standing.back_s = None, now_s
        self._changes.append(Change(now_s, name, ejected=False, kind="back", why=why))


def _figures(tally: Tally) -> str:
    return f"{tally.bad} of its last {tally.count}, {tally.in_a_row} in a row"
