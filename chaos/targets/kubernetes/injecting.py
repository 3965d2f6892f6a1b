"""Creates a chaos object, and waits until Chaos Mesh's records say that everybody whom it names is hit, or why not."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chaos.targets.kubernetes.api import Api, Frame
from chaos.targets.kubernetes.chaos_object import SOURCE, Window
from chaos.targets.kubernetes.marks import run_of
from chaos.targets.kubernetes.objects import (
    CONFLICT,
    PER_POD,
    ApiError,
    Collection,
    Item,
    Place,
    chaos,
    place_of,
)
from chaos.targets.kubernetes.undoing.traces import unapplied
from chaos.targets.kubernetes.watching import Watching

_CALL_S = 5.0
_AGAIN_AFTER_S = 0.5
_TRANSIENT = (0, 429, 500, 502, 503, 504)


class NotInjectedError(Exception):
    """It is not in force on everybody within its time; some of it may be in force."""


@dataclass(slots=True)
class Injecting:
    """One chaos object, from before it is created until all of it is in force."""

    api: Api
    body: Mapping[str, Any]
    within_s: float
    window: Window
    """Goes on to be told what becomes of the object while this is entered."""

    def until_in_force(self) -> float:
        """Create it, and wait.

        Returns:
            Monotonic seconds just before it was created: nothing of it can be in force earlier.

        Raises:
            NotInjectedError: it says why.
            ApiError: the API server refuses the object itself; there is none.
        """
        deadline_s = time.monotonic() + self.within_s
        place = place_of(self.body)
        watching = Watching(
            self.api, place.collection, fields=f"metadata.name={place.name}", on_frame=self._take
        )
        with watching:
            began_s = self._create(place.collection, deadline_s)
            self._wait(watching, deadline_s)
        return began_s

    def _take(self, frame: Frame) -> None:
        self.window.take(frame)

    def _wait(self, watching: Watching, deadline_s: float) -> None:
        def in_force() -> bool:
            return self.window.latest is not None and self.window.latest.injected

        if not watching.wait(in_force, max(0.0, deadline_s - time.monotonic())):
            raise NotInjectedError("; ".join(self._reasons()))

    def _create(self, collection: Collection, deadline_s: float) -> float:
        """Create it, again where the server or a webhook was away; when that was about to succeed."""
        while True:
            began_s = time.monotonic()
            try:
                self.api.create(collection, self.body, within_s=_CALL_S)
            except ApiError as error:
                if error.status == CONFLICT and self._is_there(collection):
                    return began_s
                if error.status not in _TRANSIENT:
                    raise
                wait_s = max(_AGAIN_AFTER_S, error.retry_after_s)
                if time.monotonic() + wait_s > deadline_s:
                    away = "Chaos Mesh's controller is away: " if error.webhook else ""
                    raise NotInjectedError(f"it could not be created: {away}{error}") from error
                time.sleep(wait_s)
            else:
                return began_s

    def _is_there(self, collection: Collection) -> bool:
        """Whether it was created by a call whose answer was lost."""
        found = self.api.get(collection / self.body["metadata"]["name"], within_s=_CALL_S)
        return found is not None and run_of(found) == run_of(self.body)

    def _reasons(self) -> Iterator[str]:
        latest = self.window.latest
        after = f"within {self.within_s:g} s"
        if latest is None or not latest.records:
            nobody = latest is not None and latest.nobody
            yield f"Chaos Mesh {'selected nobody' if nobody else 'did nothing about it'} {after}"
            return
        out = [each for each in latest.records if not each.injected]
        yield f"in force on {len(latest.records) - len(out)} of {len(latest.records)} {after}"
        yield from latest.failures
        for each in out:
            if not each.failure and self.body["kind"] in PER_POD:
                yield from self._reason_of(each.pod)

    def _reason_of(self, pod: str) -> Iterator[str]:
        """What the daemon has against it, read where it says so first."""
        place: Place = chaos(PER_POD[self.body["kind"]].lower(), self.body["metadata"]["namespace"]) / pod
        try:
            found: Item | None = self.api.get(place, within_s=_CALL_S)
        except ApiError:
            return  # the records say less, but something
        if found is not None and (why := unapplied(found)):
            yield f"pod {pod}: {why}"


def in_words(window: Window, began_s: float) -> str:
    """When Chaos Mesh said that it is in force, for whoever reads the proof; it proves nothing itself."""
    if window.all_in_s is None:
        return ""
    sides = {side for _, side in window.began_s}
    half = f", on one side {window.half_s:.2f} s earlier" if sides != {SOURCE} else ""
    return f"Chaos Mesh said so after {window.all_in_s - began_s:.2f} s{half}"
