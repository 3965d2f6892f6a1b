"""A URL that is asked for its status over and over beside a run, so that one that hangs keeps nobody waiting."""

import threading
import time
import urllib.request
from collections.abc import Sequence
from urllib.parse import urlsplit

from chaos.faults.status_asking import Answer
from chaos.faults.status_check import Http, StatusCheckSpec, status_range
from chaos.targets import Endpoints
from chaos.targets.service_names import names_service
from exporters.fetch import FetchError, fetch

_OK = 200


class StatusAsker:
    """Asks in a thread of its own from its making until it is stopped, the first time after one interval."""

    def __init__(self, spec: StatusCheckSpec, endpoints: Endpoints) -> None:
        """Begin.

        Args:
            spec: what is asked, and how often.
            endpoints: of the target, whose Service the URL may name.
        """
        assert spec.http is not None
        self._http, self._spec = spec.http, spec
        self.url = reached(spec.http.url, endpoints)
        """Where it is asked."""
        self._answers: list[Answer] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, name="status-check", daemon=True)
        self._thread.start()

    @property
    def answers(self) -> Sequence[Answer]:
        """All so far, in order."""
        return (*self._answers,)

    def stop(self) -> None:
        """Ask no more; an answer that is on its way is nobody's."""
        self._stopping.set()

    def _ask_on(self) -> None:
        interval_s = self._spec.interval_seconds
        next_s = time.monotonic() + interval_s
        while not self._stopping.wait(max(0.0, next_s - time.monotonic())):
            self._answers.append(ask(self._http, self.url, self._spec.timeout_seconds))
            next_s = max(next_s + interval_s, time.monotonic())


def ask(http: Http, url: str, within_s: float) -> Answer:
    """One answer, and whether its status is among the good ones."""
    headers = {name: ", ".join(values) for name, values in http.headers.items()}
    body = http.body.encode() if http.body else None
    status: int | None = _OK
    try:
        request = urllib.request.Request(url, body, headers, method=http.method)  # noqa: S310 - fetch opens http alone
        fetch(request, within_s)
    except ValueError as error:
        return Answer(good=False, saw=str(error))
    except FetchError as error:
        status = error.status
        if status is None:
            return Answer(good=False, saw=str(error).removeprefix(f"{url}: "))
    first, last = status_range(http.criteria.status_code)
    return Answer(good=first <= (status or 0) <= last, saw=f"status {status}")


def reached(url: str, endpoints: Endpoints) -> str:
    """A URL as the runner can ask it: one that names the target's Service leads to where the load goes."""
    if not names_service(url, endpoints.service_names):
        return url
    there = urlsplit(endpoints.url)
    parts = urlsplit(url)
    path = there.path.rstrip("/").removesuffix("/v1") + parts.path
    return parts._replace(scheme=there.scheme, netloc=there.netloc, path=path).geturl()
