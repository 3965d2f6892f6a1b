"""Sends dashboards to a Grafana: one folder, uids of our own, whatever was there under them is replaced.

By `/api`, which Grafana 11 to 13 serve. Errors come out as `PushError`, with what a person can do about them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from grafana_client.api import GrafanaApi
from grafana_client.client import GrafanaClientError, GrafanaException
from niquests.exceptions import RequestException

from dashboards.config import FOLDER_TITLE, FOLDER_UID

OLDEST = 11
"""Major version of the oldest Grafana that draws these dashboards as they are meant."""
_TIMEOUT_S = 10.0
_MESSAGE = "written by `python -m dashboards push`"

T = TypeVar("T")


class PushError(Exception):
    """A dashboard cannot be sent; the hint says what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of one dashboard."""

    uid: str
    title: str
    action: str
    """`created` or `replaced`; in a dry run, what would be done."""
    url: str


class Grafana:
    """One Grafana, asked as the owner of a service account's token."""

    def __init__(self, url: str, token: str) -> None:
        """Nothing is sent yet; PushError when the URL is none."""
        if not url.startswith(("http://", "https://")):
            raise PushError(f"not a URL of Grafana: {url}", hint="it begins with http:// or https://")
        self._url = url.rstrip("/")
        # The library appends `api` to the path as it is given.
        self._api = GrafanaApi.from_url(f"{self._url}/", credential=token, timeout=_TIMEOUT_S)

    def check_version(self) -> str:
        """The version.

        Raises:
            PushError: Grafana cannot be reached, does not take the token, or is too old.
        """
        found = self._ask(lambda: self._api.client.GET("/health"), "its version")
        version = str(found.get("version", "")) if isinstance(found, Mapping) else ""
        major = version.partition(".")[0]
        if not major.isdecimal():
            raise PushError(
                f"what answers at {self._url} is no Grafana", hint="is there a path missing from the URL?"
            )
        if int(major) < OLDEST:
            raise PushError(
                f"Grafana {version} at {self._url} is too old",
                hint=f"these dashboards need {OLDEST} or newer",
            )
        return version

    def push(self, texts: Mapping[str, str], *, dry_run: bool) -> list[Pushed]:
        """Send every dashboard, given as Classic JSON by name; a dry run only reads.

        Raises:
            PushError: Grafana does not take one of them; those before it are there.
        """
        if not dry_run and self._known(lambda: self._api.folder.get_folder(FOLDER_UID), "the folder") is None:
            self._ask(lambda: self._api.folder.create_folder(FOLDER_TITLE, FOLDER_UID), "a new folder")
        return [self._send(json.loads(text), dry_run=dry_run) for text in texts.values()]

    def _send(self, dashboard: dict[str, Any], *, dry_run: bool) -> Pushed:
        uid, title = dashboard["uid"], dashboard["title"]
        what = f"the dashboard {title!r}"
        there = self._known(lambda: self._api.dashboard.get_dashboard(uid), what)
        action = "created" if there is None else "replaced"
        if there is not None and there.get("meta", {}).get("provisioned"):
            raise PushError(
                f"{what} is provisioned from a file: Grafana would not let it be replaced",
                hint="change the file, or take it out of Grafana's provisioning",
            )
        if not dry_run:
            body = {
                "dashboard": {**dashboard, "id": None},
                "folderUid": FOLDER_UID,
                "overwrite": True,
                "message": _MESSAGE,
            }
            self._ask(lambda: self._api.dashboard.update_dashboard(body), what)
        return Pushed(uid, title, f"would be {action}" if dry_run else action, f"{self._url}/d/{uid}")

    def _known(self, ask: Callable[[], T], what: str) -> T | None:
        """The answer, or None when Grafana has no such thing."""

        def or_none() -> T | None:
            try:
                return ask()
            except GrafanaClientError as error:
                if error.status_code == 404:
                    return None
                raise

        return self._ask(or_none, what)

    def _ask(self, ask: Callable[[], T], what: str) -> T:
        try:
            return ask()
        except GrafanaException as error:
            raise self._explained(error, what) from error
        except RequestException as error:
            raise PushError(
                f"Grafana at {self._url} cannot be reached: {_reason(error)}",
                hint="is it running, and is that its URL?",
            ) from error
        except ValueError as error:  # an answer that is no JSON
            raise PushError(f"what answers at {self._url} is no Grafana: {error}") from error

    def _explained(self, error: GrafanaException, what: str) -> PushError:
        match error.status_code:
            case 401:
                return PushError(
                    f"Grafana at {self._url} does not take this token",
                    hint="it must be a service account's token, not expired, of this Grafana's organisation",
                )
            case 403:
                return PushError(
                    f"this token may not write {what}",
                    hint="its service account needs the role Editor, or permission to create folders and dashboards",
                )
            case 0:
                return PushError(f"Grafana at {self._url} did not answer within {_TIMEOUT_S:g} s")
            case _:
                return PushError(f"Grafana at {self._url} refused {what}: {error.message}")


def _reason(error: BaseException) -> str:
    """The words of the innermost error: what the operating system said, not how the libraries wrapped it."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error)
