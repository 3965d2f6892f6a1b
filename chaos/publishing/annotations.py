"""Fault windows as region annotations in somebody's Grafana, while the run goes on.

Grafana is asked by plain HTTP: its client library lives in `dashboards` alone. Once the run has begun nothing that
Grafana does, or fails to do, reaches the run: requests are made by a thread of their own, in order, and a failure is
a warning. A run that is killed leaves an annotation without an end.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPException
from typing import Any, Self

from chaos.errors import InputError

TAG = "aftershock"
"""On every annotation, beside the experiment, the fault and its kind: a dashboard's annotation layer asks for it."""
TOKEN_VARIABLE = "GRAFANA_TOKEN"  # noqa: S105 - the name of a variable
_TIMEOUT_S = 5.0


class GrafanaError(Exception):
    """Grafana did not do what was asked; the message says what it answered."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token to where the user did not send it."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Never followed: the 3xx itself becomes the error."""


class GrafanaAnnotations:
    """One Grafana, told of one experiment's faults."""

    def __init__(self, url: str, token: str, experiment: str) -> None:
        """Nothing is sent yet.

        Raises:
            InputError: the URL is none, or the token is empty or could not be sent.
        """
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InputError(
                f"--grafana: expected the URL of a Grafana, got {url!r}",
                hint="it begins with http:// or https://, and has its path if Grafana serves from one",
            )
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise InputError(
                f"--grafana needs the token of a service account in the environment variable {TOKEN_VARIABLE}",
                hint="Grafana: Administration, Service accounts, role Editor, Add token",
            )
        self._url = url.rstrip("/")
        self._token = token
        self._experiment = experiment
        self._opener = urllib.request.build_opener(_NoRedirects)
        self._warn: Callable[[str], None] = lambda _: None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="annotations")
        self._open: dict[str, Future[int | None]] = {}
        """The annotations without an end, by occurrence: what will be the id of each."""

    def require_access(self, now_wall_s: float) -> None:
        """Write an annotation and delete it again: what a run will need, asked for before it begins.

        Raises:
            InputError: Grafana cannot be reached, or does not let this token write annotations.
        """
        text = f"aftershock may annotate: {self._experiment}"
        try:
            self._call("DELETE", f"annotations/{self._create(text, [TAG], now_wall_s)}")
        except GrafanaError as error:
            raise InputError(
                f"--grafana: {error}",
                hint=f"${TOKEN_VARIABLE} must be a token of a service account with the role Editor, not expired",
            ) from error

    def warn_with(self, warn: Callable[[str], None]) -> None:
        """From now on tell `warn`, from another thread, what did not work."""
        self._warn = warn

    def fault_began(
        self, occurrence: str, fault: str, kind: str, targets: Sequence[str], at_wall_s: float
    ) -> None:
        """Open a region; returns at once."""
        text = f"{self._experiment}: {occurrence} ({kind}) on {', '.join(targets)}"
        tags = [TAG, self._experiment, fault, kind]
        self._open[occurrence] = self._later(lambda: self._create(text, tags, at_wall_s))

    def fault_ended(self, occurrence: str, at_wall_s: float) -> None:
        """Close its region; returns at once, and changes nothing a second time."""
        created = self._open.pop(occurrence, None)
        if created is not None:
            self._later(lambda: self._close(created.result(), at_wall_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what is under way: a Grafana that hangs costs some seconds per annotation."""
        self._worker.shutdown()

    def _later(self, ask: Callable[[], int | None]) -> "Future[int | None]":
        def or_warn() -> int | None:
            try:
                return ask()
            except GrafanaError as error:
                self._warn(f"Grafana was not told of a fault: {error}")
                return None

        return self._worker.submit(or_warn)

    def _create(self, text: str, tags: Sequence[str], at_wall_s: float) -> int:
        answer = self._call("POST", "annotations", {"time": _ms(at_wall_s), "tags": list(tags), "text": text})
        if not isinstance(answer.get("id"), int):
            raise GrafanaError(f"what answers at {self._url} is no Grafana: an annotation without an id")
        return int(answer["id"])

    def _close(self, annotation: int | None, at_wall_s: float) -> None:
        if annotation is not None:  # else its opening has been warned of
            self._call("PATCH", f"annotations/{annotation}", {"timeEnd": _ms(at_wall_s)})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - http(s), checked
            f"{self._url}/api/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            method=method,
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise GrafanaError(_explained(self._url, error)) from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise GrafanaError(f"Grafana at {self._url} cannot be reached: {reason}") from error
        except ValueError as error:
            raise GrafanaError(f"what answers at {self._url} is no Grafana: {error}") from error
        return answer if isinstance(answer, dict) else {}


def _explained(url: str, error: urllib.error.HTTPError) -> str:
    if error.code == 401:
        return f"Grafana at {url} does not take this token"
    if error.code == 403:
        return f"Grafana at {url} does not let this token write annotations"
    if 300 <= error.code < 400:
        return f"{url} redirects to {error.headers.get('Location')}: give the URL that it leads to"
    try:
        said = json.load(error).get("message")
    except (OSError, ValueError, AttributeError):
        said = None
    return f"Grafana at {url} answered {error.code} {said or error.reason}"


def _ms(wall_s: float) -> int:
    return round(wall_s * 1000)
