"""One Grafana, asked over its HTTP API: what it answers is a value, or one sentence with what a person can do about it.

The one module that knows grafana-client and what lies below it. Both are imported by whoever asks a Grafana, when it
does: they bring an HTTP stack, and are in the extra `dashboards` alone.
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit

TOKEN_VARIABLE = "GRAFANA_TOKEN"  # noqa: S105 - the name of a variable
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
T = TypeVar("T")


class GrafanaError(Exception):
    """Grafana did not do what was asked, or cannot be asked; the hint says what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Grafana:
    """One Grafana, asked as the owner of a service account's token."""

    def __init__(self, url: str, token: str, *, timeout_s: float) -> None:
        """Nothing is sent yet.

        Raises:
            GrafanaError: the URL is none, the token could not be sent, or grafana-client is not installed.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise GrafanaError(
                f"expected the URL of a Grafana, got {url!r}",
                hint="it begins with http:// or https://, and has its path if Grafana serves from one",
            )
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise GrafanaError(
                f"expected the token of a service account, as in the environment variable {TOKEN_VARIABLE}",
                hint="Grafana: Administration, Service accounts, role Editor, Add token",
            )
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        self.api = _api(self.url, token, timeout_s)

    def ask(self, ask: Callable[[], T], what: str) -> T:
        """The answer of one call of `api`; `what` is asked for, in an error's sentence.

        Raises:
            GrafanaError: there is none.
        """
        from grafana_client.client import GrafanaException
        from niquests.exceptions import JSONDecodeError, RequestException, TooManyRedirects

        try:
            return ask()
        except GrafanaException as error:
            raise self._refused(error.status_code, error.response, what) from error
        except TooManyRedirects as error:
            leads_to = None if error.response is None else error.response.headers.get("Location")
            raise GrafanaError(
                f"{self.url} redirects to {leads_to}: give the URL that it leads to"
            ) from error
        except JSONDecodeError as error:
            raise self.no_grafana(str(error)) from error
        except RequestException as error:
            raise GrafanaError(
                f"Grafana at {self.url} cannot be reached: {_innermost(error)}",
                hint="is it running, and is that its URL?",
            ) from error

    def known(self, ask: Callable[[], T], what: str) -> T | None:
        """The answer, or None when Grafana has no such thing.

        Raises:
            GrafanaError: there is neither.
        """
        from grafana_client.client import GrafanaClientError

        def or_none() -> T | None:
            try:
                return ask()
            except GrafanaClientError as error:
                if error.status_code == HTTPStatus.NOT_FOUND:
                    return None
                raise

        return self.ask(or_none, what)

    def no_grafana(self, why: str) -> GrafanaError:
        """What to raise when something else answers there."""
        return GrafanaError(
            f"what answers at {self.url} is no Grafana: {why}", hint="is there a path missing from the URL?"
        )

    def annotate(self, text: str, tags: Sequence[str], at_ms: int) -> int:
        """A new annotation that begins at that Unix time and has no end; its id.

        Raises:
            GrafanaError: it is not written.
        """
        body = {"time": at_ms, "tags": list(tags), "text": text}
        answer = self.ask(lambda: self.api.client.POST("/annotations", json=body), "annotations")
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), int):
            raise self.no_grafana("an annotation without an id")
        return int(answer["id"])

    def end_annotation(self, number: int, at_ms: int) -> None:
        """It ends then.

        Raises:
            GrafanaError: the end is not written.
        """
        # Not the library's own way to update a part: with the end it would send no tags, and so take them away.
        body = {"timeEnd": at_ms}
        self.ask(lambda: self.api.client.PATCH(f"/annotations/{number}", json=body), "annotations")

    def delete_annotation(self, number: int) -> None:
        """It is gone.

        Raises:
            GrafanaError: it is still there.
        """
        self.ask(lambda: self.api.annotations.delete_annotations_by_id(number), "annotations")

    def _refused(self, status: int, answer: object, what: str) -> GrafanaError:
        match status:
            case HTTPStatus.UNAUTHORIZED:
                return GrafanaError(
                    f"Grafana at {self.url} does not take this token",
                    hint="it must be a service account's token, not expired, of this Grafana's organisation",
                )
            case HTTPStatus.FORBIDDEN:
                return GrafanaError(
                    f"Grafana at {self.url} does not let this token write {what}",
                    hint="its service account needs the role Editor, or the permission to write just that",
                )
            case 0:
                return GrafanaError(f"Grafana at {self.url} did not answer within {self._timeout_s:g} s")
            case _:
                said = answer.get("message") if isinstance(answer, dict) else None
                return GrafanaError(
                    f"Grafana at {self.url} answered {status} {said or _phrase(status)} ({what})"
                )


def _api(url: str, token: str, timeout_s: float) -> Any:
    try:
        from grafana_client.api import GrafanaApi
    except ImportError as error:
        raise GrafanaError(
            f"a Grafana is asked by grafana-client, which is not installed here: {error}",
            hint="pip install grafana-client, or this project with its extra `dashboards`",
        ) from error
    # The library appends `api` to the path as it is given.
    api = GrafanaApi.from_url(f"{url}/", credential=token, timeout=timeout_s)
    if urlsplit(url).hostname in _LOOPBACK:  # a proxy that is set for the rest of the world does not reach it
        api.client.s.trust_env = False
    # A redirect would take the token to where the user did not send it: none is followed.
    api.client.s.max_redirects = 0
    # Minutes lie between two requests: a connection kept open would be dead by then.
    api.client.s.headers["Connection"] = "close"
    return api


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else ""


def _innermost(error: BaseException) -> str:
    """What the operating system said, not how the libraries wrapped it."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error)
