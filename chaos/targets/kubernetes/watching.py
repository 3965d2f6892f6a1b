"""What is in a cluster now, without a question per look: a list, then the news of a watch, in a thread of its own.

A watch ends all the time: by the server's clock, by a proxy, by a version that is too old. All of that is made good by
another watch or another list; only when neither could be had for a while is what is known too old to be believed.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

from chaos.errors import InconclusiveError
from chaos.targets.kubernetes.api import GONE, Api, Frame
from chaos.targets.kubernetes.objects import ApiError, Collection, Item

LOST_AFTER_S = 20.0
"""So long without a sign of the API server, and nobody knows any more what is in the cluster."""
_LASTS_S = 8.0
"""Of one watch: a connection that is half open is noticed soon after."""
_AGAIN_AFTER_S = 0.5
_LIST_S = 10.0


@dataclass(frozen=True, slots=True)
class Loss:
    """A time in which nobody knew what became of what is watched."""

    since_s: float
    """The last sign of the API server before it."""
    until_s: float | None
    """The first one after it; None where there was none."""
    why: str


@dataclass(slots=True)
class Watching:
    """All objects of a collection that selectors let through; entered they are there, and followed until it is left."""

    api: Api
    collection: Collection
    labels: str = ""
    fields: str = ""
    on_frame: Callable[[Frame], object] = lambda _: None
    """Told each piece of news, in order, from whichever thread has it; what a list shows to be other is news too."""
    lost_after_s: float = LOST_AFTER_S
    changed: threading.Condition = field(default_factory=threading.Condition)
    """Notified with each piece of news."""
    _items: dict[str, Item] = field(default_factory=dict)
    """By uid."""
    _version: str = ""
    _sign_s: float = 0.0
    """When the API server last gave a sign."""
    _losses: list[Loss] = field(default_factory=list)
    _left_s: float = math.inf
    """When it was left: nobody listens any more."""
    _trouble: str = ""
    _ends: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """List, and follow from there.

        Raises:
            ApiError: the list cannot be had.
        """
        self._list()
        self._thread = threading.Thread(
            target=self._follow, name=f"watch {self.collection.plural}", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Follow no further; the thread ends with its watch, and changes nothing any more."""
        self._left_s = min(self._left_s, time.monotonic())
        self._ends.set()

    def items(self) -> Sequence[Item]:
        """What is there now.

        Raises:
            InconclusiveError: the watch is lost.
        """
        self.require()
        return self.known()

    def known(self) -> Sequence[Item]:
        """What was there when the API server last gave a sign, however long that is ago."""
        with self.changed:
            return [*self._items.values()]

    def losses(self) -> Sequence[Loss]:
        """Every time in which it was lost, the one that goes on included."""
        with self.changed:
            since_s, losses = self._sign_s, [*self._losses]
        if min(time.monotonic(), self._left_s) - since_s > self.lost_after_s:
            losses.append(Loss(since_s, None, self._why))
        return losses

    def require(self) -> None:
        """See that what is known is not too old.

        Raises:
            InconclusiveError: it is.
        """
        silent_s = time.monotonic() - self._sign_s
        if silent_s > self.lost_after_s:
            raise InconclusiveError(
                f"nobody knows what becomes of {self.collection.resource} in {self.collection.namespace}: their watch "
                f"is lost for {silent_s:.0f} s: {self._why}"
            )

    @property
    def _why(self) -> str:
        return self._trouble or "the API server is silent"

    def _heard(self, at_s: float) -> None:
        """The API server gives a sign; by whoever has the lock, or before anybody follows."""
        if self._sign_s and at_s - self._sign_s > self.lost_after_s:
            self._losses.append(Loss(self._sign_s, at_s, self._why))
        self._sign_s, self._trouble = at_s, ""

    def wait(self, holds: Callable[[], bool], within_s: float) -> bool:
        """Wait for news until something holds, or the time is over; whether it holds."""
        deadline_s = time.monotonic() + within_s
        with self.changed:
            while not holds():
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    return False
                self.changed.wait(min(left_s, _AGAIN_AFTER_S))
        return True

    def _follow(self) -> None:
        while not self._ends.is_set():
            try:
                if not self._version:
                    self._list()
                for frame in self.api.watch(
                    self.collection, self._version, labels=self.labels, fields=self.fields, lasts_s=_LASTS_S
                ):
                    if self._ends.is_set():
                        return
                    self._take(frame)
                with self.changed:
                    self._heard(time.monotonic())
            except ApiError as error:
                self._trouble = f"{error}"
                if error.status:
                    self._version = ""  # too old, or whatever else it has against it: from a list on again
                if error.status != GONE:
                    self._ends.wait(max(_AGAIN_AFTER_S, error.retry_after_s))

    def _list(self) -> None:
        listing = self.api.listing(self.collection, labels=self.labels, fields=self.fields, within_s=_LIST_S)
        at_s = time.monotonic()
        now = {str(item["metadata"]["uid"]): item for item in listing.items}
        with self.changed:
            known = dict(self._items)
        for uid in known.keys() - now.keys():
            self._take(Frame(at_s, "DELETED", known[uid]))
        for uid, item in now.items():
            if uid not in known:
                self._take(Frame(at_s, "ADDED", item))
            elif item["metadata"].get("resourceVersion") != known[uid]["metadata"].get("resourceVersion"):
                self._take(Frame(at_s, "MODIFIED", item))
        with self.changed:
            self._version = listing.version
            self._heard(at_s)

    def _take(self, frame: Frame) -> None:
        metadata = frame.item["metadata"]
        self._version = str(metadata.get("resourceVersion") or self._version)
        with self.changed:
            self._heard(frame.at_s)
            if frame.type not in ("ADDED", "MODIFIED", "DELETED"):
                return
            if frame.type == "DELETED":
                self._items.pop(str(metadata["uid"]), None)
            else:
                self._items[str(metadata["uid"])] = frame.item
            self.on_frame(frame)
            self.changed.notify_all()
