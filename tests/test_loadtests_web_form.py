"""Locust's web UI in a browser: the knobs of a load on top and open, and first tokens and gaps in its table."""

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.conftest import Eventually
from tests.support.page_proxy import altered
from tests.support.scripted_server import ScriptedServer

ROOT = Path(__file__).parent.parent
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_PROBE = """<script>
addEventListener("load", () => setTimeout(() => {
  const seen = [...document.querySelectorAll("form [name]")]
    .map(each => [each.name, (each.closest(".MuiFormControl-root") || each).getBoundingClientRect()])
    .filter(([, box]) => box.width > 0 && box.height > 0)
    .sort((one, other) => one[1].top - other[1].top);
  document.title = "SEEN " + seen.map(([name]) => name).join(" ");
}, 2500));
</script></head>"""
"""Says in the page's title which fields have a place on it, from the top down."""


@pytest.fixture
def web_ui(free_port: int, tmp_path: Path, eventually: Eventually) -> Iterator[str]:
    with ScriptedServer() as server, (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(
            [
                *(sys.executable, "-m", "locust", "--host", server.url("ok-4-20")),
                *("--web-port", str(free_port)),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ},
        )
        url = f"http://127.0.0.1:{free_port}"
        try:
            eventually(lambda: text_of(url), within_s=60)
            yield url
        finally:
            child.kill()
            child.wait()


def text_of(url: str, form: str | None = None) -> str:
    with suppress(OSError), urllib.request.urlopen(url, form.encode() if form else None, timeout=20) as page:
        return str(page.read().decode())
    return ""


def test_the_web_ui_is_for_this_machine_alone_unless_told_otherwise(web_ui: str) -> None:
    port = urlsplit(web_ui).port
    listening = [
        each.laddr
        for each in psutil.net_connections("tcp")
        if each.laddr and each.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening if address.port == port} == {"127.0.0.1"}


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on PATH")
def test_rate_duration_arrivals_and_lengths_stand_open_on_top_and_locusts_own_two_are_hidden(
    web_ui: str, tmp_path: Path
) -> None:
    with altered(web_ui, lambda page: page.replace("</head>", _PROBE)) as url:
        dumped = subprocess.run(
            [
                *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"),
                *("--virtual-time-budget=10000", "--window-size=1280,2400", "--dump-dom", url),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
    found = re.search(r"<title>SEEN ([^<]*)</title>", dumped)
    assert found is not None, dumped[:500]
    names = found[1].split()
    assert names[:5] == ["rate", "duration", "arrivals", "promptTokens", "outputTokens"]
    assert "host" in names
    assert not {"userCount", "spawnRate", "runTime"} & set(names)


def test_the_table_has_a_line_for_first_tokens_and_one_for_gaps_and_counts_requests_once(
    web_ui: str, eventually: Eventually
) -> None:
    assert '"success":true' in text_of(f"{web_ui}/swarm", "rate=20&duration=2").replace(" ", "").replace(
        "\n", ""
    )
    eventually(lambda: ",Aggregated," in text_of(f"{web_ui}/stats/requests/csv"), within_s=30)
    eventually(lambda: '"stopped"' in text_of(f"{web_ui}/stats/requests"), within_s=60)
    lines = text_of(f"{web_ui}/stats/requests/csv").splitlines()
    counts = {line.split(",")[0]: int(line.split(",")[2]) for line in lines[1:]}
    assert counts["POST"] == counts["TTFT"] == counts[""] > 10
    assert counts["ITL"] == 3 * counts["POST"], "four tokens have three gaps"
