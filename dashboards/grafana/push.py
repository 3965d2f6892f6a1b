"""Sends dashboards to a Grafana: one folder, uids of our own, whatever was there under them is replaced.

By `/api`, which Grafana 11 to 13 serve.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dashboards.config import FOLDER_TITLE, FOLDER_UID
from dashboards.grafana.client import Grafana, GrafanaError

OLDEST = 11
"""Major version of the oldest Grafana that draws these dashboards as they are meant."""
TIMEOUT_S = 10.0
_MESSAGE = "written by `python -m dashboards push`"


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of one dashboard."""

    uid: str
    title: str
    action: str
    """`created` or `replaced`; in a dry run, what would be done."""
    url: str


def check_version(grafana: Grafana) -> str:
    """The version of this Grafana.

    Raises:
        GrafanaError: it cannot be reached, does not take the token, or is too old.
    """
    found = grafana.ask(lambda: grafana.api.client.GET("/health"), "its version")
    version = str(found.get("version", "")) if isinstance(found, Mapping) else ""
    major = version.partition(".")[0]
    if not major.isdecimal():
        raise grafana.no_grafana("it tells no version")
    if int(major) < OLDEST:
        raise GrafanaError(
            f"Grafana {version} at {grafana.url} is too old", hint=f"these dashboards need {OLDEST} or newer"
        )
    return version


def push(grafana: Grafana, texts: Mapping[str, str], *, dry_run: bool) -> list[Pushed]:
    """Send every dashboard, given as Classic JSON by name; a dry run only reads.

    Raises:
        GrafanaError: Grafana does not take one of them; those before it are there.
    """
    folder = grafana.api.folder
    if not dry_run and grafana.known(lambda: folder.get_folder(FOLDER_UID), "the folder") is None:
        grafana.ask(lambda: folder.create_folder(FOLDER_TITLE, FOLDER_UID), "a new folder")
    return [_send(grafana, json.loads(text), dry_run=dry_run) for text in texts.values()]


def _send(grafana: Grafana, dashboard: dict[str, Any], *, dry_run: bool) -> Pushed:
    uid, title = dashboard["uid"], dashboard["title"]
    what = f"the dashboard {title!r}"
    there = grafana.known(lambda: grafana.api.dashboard.get_dashboard(uid), what)
    action = "created" if there is None else "replaced"
    if there is not None and there.get("meta", {}).get("provisioned"):
        raise GrafanaError(
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
        grafana.ask(lambda: grafana.api.dashboard.update_dashboard(body), what)
    return Pushed(uid, title, f"would be {action}" if dry_run else action, f"{grafana.url}/d/{uid}")
