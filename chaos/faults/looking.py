"""Looks for evidence beside a run: nobody waits for one for longer than they choose, whatever its witness does."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from chaos.events import Event, EventKind
from chaos.record.details import Looked
from chaos.targets import Evidence

OVERTIME_S = 5.0
"""What a witness may take beyond the time that it was given, before nobody waits for it any more."""

Kinds = Mapping[bool, EventKind]
IN_FORCE: Kinds = {True: EventKind.FAULT_VERIFIED, False: EventKind.FAULT_UNVERIFIED}
OVER: Kinds = {True: EventKind.END_VERIFIED, False: EventKind.END_UNVERIFIED}


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the victims of one occurrence, under way on a thread that nothing waits for in the end."""

    occurrence: str
    victims: Sequence[str]
    kinds: Kinds
    gives_up_s: float
    """Monotonic seconds from which on nobody waits for it."""
    _seen: "Future[tuple[Sequence[Evidence], float]]"

    @classmethod
    def begin(
        cls,
        occurrence: str,
        victims: Sequence[str],
        kinds: Kinds,
        see: Callable[[float], Sequence[Evidence]],
        within_s: float,
    ) -> "Look":
        """Have a witness look from now on; `see` is told how long it may take."""
        seen: Future[tuple[Sequence[Evidence], float]] = Future()

        def look() -> None:
            try:
                seen.set_result((see(within_s), time.monotonic()))
            except BaseException as error:
                seen.set_exception(error)

        threading.Thread(target=look, name=f"look-{occurrence}", daemon=True).start()
        return cls(occurrence, victims, kinds, time.monotonic() + within_s + OVERTIME_S, seen)

    @property
    def over(self) -> bool:
        """Whether there is something to be told, or nobody waits any more."""
        return self._seen.done() or time.monotonic() >= self.gives_up_s

    def given_up(self) -> "Look":
        """The same look, and nobody who waits for it any more."""
        return replace(self, gives_up_s=0.0)

    def evidence(self) -> Sequence[Evidence]:
        """What was seen of each victim, once it is over: of a look that nobody waits for any more, that nothing was.

        Raises:
            Exception: what kept the witness from looking.
        """
        return self._told()[0]

    def events(self) -> Iterator[Event]:
        """The same as events, stamped when it was seen."""
        evidence, seen_s = self._told()
        for each in evidence:
            detail = Looked(id=self.occurrence, how=each.how).model_dump()
            yield Event(seen_s, self.kinds[each.verified], each.replica, detail)

    def _told(self) -> tuple[Sequence[Evidence], float]:
        try:
            return self._seen.result(max(0.0, self.gives_up_s - time.monotonic()))
        except TimeoutError:
            if self._seen.done():  # the witness's own
                raise
        how = "its witness was still looking when nobody waited for it any more"
        return [Evidence(name, verified=False, how=how) for name in self.victims], time.monotonic()
