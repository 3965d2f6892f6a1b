"""The page is opened in a real browser: what a test cannot see there, it does not show."""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from chaos.report import write_reports
from chaos.run_folder import RunFolder

SAMPLE = Path(__file__).parent / "data" / "run-sample"
HOSTILE = '</script><img src=x onerror="document.documentElement.dataset.pwned=1">{{ 7*7 }}'
Edit = Callable[[dict[str, Any]], None]


class Page(HTMLParser):
    """Elements by tag, embedded JSON by id, and the words between."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.words = text, ""
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.data: dict[str, Any] = {}
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        self._inside = attributes.get("id") if attributes.get("type") == "application/json" else None

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's signature
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.data[self._inside] = json.loads(data)
        else:
            self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def report_of(folder: Path, edit: Edit | None = None) -> Path:
    shutil.copytree(SAMPLE, folder, dirs_exist_ok=True)
    if edit:
        journal = json.loads((folder / "journal.json").read_text())
        edit(journal)
        (folder / "journal.json").write_text(json.dumps(journal))
    write_reports(RunFolder(folder))
    return folder / "report.html"


def in_browser(report: Path, profile: Path, width: int = 1280) -> Page:
    """The page after its scripts ran."""
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not on PATH")
    options = (
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *(
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={profile}",
            f"--window-size={width},3000",
        ),
    )
    dom = subprocess.run(
        (browser, *options, "--dump-dom", report.as_uri()),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Page(dom.stdout)


def assert_every_chart_is_drawn(page: Page) -> None:
    [root] = page.all("html")
    assert "data-errors" not in root, root["data-errors"]
    charts = page.data["charts"]["charts"]
    assert root["data-charts"] == str(len(charts)) == str(len(page.all("canvas")))
    for chart in charts:
        values = [value for series in chart["series"] for value in series["values"]]
        [place] = [div for div in page.all("div") if div.get("id") == f"chart-{chart['id']}"]
        assert place["data-drawn"] == str(sum(isinstance(value, int | float) for value in values)), chart[
            "id"
        ]


def test_report_is_one_small_file_that_reaches_for_nothing_outside_itself(tmp_path: Path) -> None:
    report = report_of(tmp_path)
    text = report.read_text()
    assert len(text.encode()) < 500_000
    package = find_spec("uplot")
    assert package is not None
    assert package.submodule_search_locations
    uplot = (Path(package.submodule_search_locations[0]) / "static" / "uPlot.iife.js").read_text()
    assert uplot in text
    assert all(re.match(r"\s*(//|\*)", line) for line in uplot.splitlines() if "://" in line)
    own = text.replace(uplot, "")
    assert not re.search(r"://|\bsrc=|href=|@import|url\(", own)


def test_every_chart_of_a_recorded_run_is_drawn_with_every_value(tmp_path: Path) -> None:
    page = in_browser(report_of(tmp_path / "run"), tmp_path / "profile")
    assert_every_chart_is_drawn(page)
    drawn = [chart["id"] for chart in page.data["charts"]["charts"]]
    ours = ["goodput", "ttft", "errors", "in-flight", "replicas", "tpot", "itl", "tokens", "machine"]
    assert drawn[: len(ours)] == ours
    assert len(drawn) > len(ours)
    assert all(name.startswith("series-") for name in drawn[len(ours) :])


def test_the_cursor_is_shared_and_a_step_holds_until_the_next(tmp_path: Path) -> None:
    report = report_of(tmp_path / "run")
    text = report.read_text()
    hover = """<script>addEventListener("load", () => {
      const over = document.querySelector(".u-over"), { left, top, width } = over.getBoundingClientRect();
      const move = (at) => over.dispatchEvent(
        new MouseEvent("mousemove", { clientX: left + at * width, clientY: top + 9, bubbles: true, view: window }));
      move(0.5);
      const words = (plot) => [...plot.querySelectorAll(".u-value")].map((cell) => cell.textContent).join(" ");
      document.body.dataset.seen = [...document.querySelectorAll(".uplot")]
        .map((plot) => plot.classList.contains("idle") ? "idle" : words(plot)).join("|");
    });</script></body>"""
    report.write_text(text.replace("</body>", hover))
    page = in_browser(report, tmp_path / "profile")
    assert_every_chart_is_drawn(page)
    charts = page.data["charts"]["charts"]
    at_s = page.data["charts"]["clock"]["end_s"] / 2
    seen = str(page.all("body")[0]["data-seen"]).split("|")
    assert len(seen) == len(charts)
    assert "idle" not in seen
    for chart, shown in zip(charts, seen, strict=True):
        if chart["series"][0]["style"] == "step" and chart["unit"] == "count":
            holds = max(index for index, x in enumerate(chart["x"]) if x <= at_s)
            assert shown.split()[2:] == [str(series["values"][holds]) for series in chart["series"]]


@pytest.mark.parametrize("width", [390, 641, 768, 961, 1280])
def test_nothing_of_the_page_reaches_beyond_a_window_of_usual_width(width: int, tmp_path: Path) -> None:
    report = report_of(tmp_path / "run")
    measure = """<script>addEventListener("load", () => {
      const { clientWidth, dataset } = document.documentElement;
      const beyond = [...document.querySelectorAll("main :not(svg *)")]
        .filter((element) => element.getBoundingClientRect().right > clientWidth + 1);
      const cut = [...document.querySelectorAll(".card")].filter((card) => card.scrollWidth > card.clientWidth);
      dataset.beyond = [...beyond, ...cut].map((each) => each.textContent.trim().slice(0, 30)).join("|");
    });</script></body>"""
    report.write_text(report.read_text().replace("</body>", measure))
    [root] = in_browser(report, tmp_path / "profile", width).all("html")
    assert "data-errors" not in root, root["data-errors"]
    assert root["data-beyond"] == ""


def test_report_carries_the_journal_unchanged(tmp_path: Path) -> None:
    page = Page(report_of(tmp_path).read_text())
    assert page.data["journal"] == json.loads((tmp_path / "journal.json").read_text())


def test_charts_count_what_the_rows_say(tmp_path: Path) -> None:
    data = Page(report_of(tmp_path).read_text()).data
    charts = {chart["id"]: chart for chart in data["charts"]["charts"]}
    load = data["journal"]["load"]
    planned = charts["goodput"]["series"][0]["values"]
    # The last value repeats: it closes the last step.
    assert (
        sum(value for value in planned if value is not None) - planned[int(load["plan_end_s"])]
        == load["planned"]
    )
    failed = {series["label"]: sum(series["values"]) for series in charts["errors"]["series"]}
    assert failed == {name: n for name, n in load["outcomes"].items() if name != "ok"}


def test_instants_on_the_charts_are_those_of_the_journal(tmp_path: Path) -> None:
    data = Page(report_of(tmp_path).read_text()).data
    journal, marks = data["journal"], data["charts"]["clock"]["marks"]
    fault_s, recovery = journal["faults"][0]["started_s"], journal["recovery"]
    assert recovery["capacity_status"] == "recovered"
    recovered = [name for name in ("service", "capacity") if recovery[f"{name}_status"] == "recovered"]
    expected = [fault_s, *(fault_s + recovery[f"{name}_s"] for name in recovered)]
    assert [mark["at_s"] for mark in marks] == pytest.approx(expected)


def _poison(journal: dict[str, Any]) -> None:
    journal.update(
        experiment=HOSTILE, hypothesis=HOSTILE, verdict="inconclusive", reasons=[HOSTILE], target=HOSTILE
    )
    journal["assertions"][0].update(expression=HOSTILE, reason=HOSTILE, verdict="inconclusive")
    journal["faults"][0].update(id="drill#1", name=HOSTILE, kind=HOSTILE)
    journal["versions"] = {HOSTILE: HOSTILE}
    journal["definitions"] = {HOSTILE: HOSTILE}
    journal["reconciliation"]["problems"] = [HOSTILE]


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(SAMPLE, folder)
    first = json.loads((folder / "journal.json").read_text())["faults"][0]["targets"][0]
    events = (folder / "events.jsonl").read_text()
    (folder / "events.jsonl").write_text(events.replace(first, json.dumps(HOSTILE)[1:-1]))
    series = {HOSTILE: {"query": HOSTILE, "points": [[1, 2.0], [2, math.inf], [3, math.nan]]}}
    (folder / "metrics.json").write_text(json.dumps({"step_s": 1, "series": series}))
    journal = json.loads((folder / "journal.json").read_text())
    _poison(journal)
    (folder / "journal.json").write_text(json.dumps(journal))
    write_reports(RunFolder(folder))
    page = in_browser(folder / "report.html", tmp_path / "profile")
    assert_every_chart_is_drawn(page)
    assert page.all("img") == []
    assert "data-pwned" not in page.all("html")[0]
    for field in (
        HOSTILE,
        f"Hypothesis. {HOSTILE}",
        f"drill#1: {HOSTILE}",
        f"{HOSTILE} target",
    ):
        assert field in page.words


def test_infinity_is_a_gap_in_the_line_and_a_word_in_the_data(tmp_path: Path) -> None:
    data = Page(report_of(tmp_path).read_text()).data
    [ttft] = [chart for chart in data["charts"]["charts"] if chart["id"] == "ttft"]
    slowest = next(series["values"] for series in ttft["series"] if series["label"] == "slowest")
    assert "inf" in slowest
    assert max(value for value in slowest if isinstance(value, float)) < ttft["range"][1]


def test_a_p99_of_few_requests_is_not_bold_and_is_marked_wherever_it_stands(tmp_path: Path) -> None:
    def few(journal: dict[str, Any]) -> None:
        journal["phases"][0].update(n=71, ttft_p99_s=0.123)
        journal["phases"][1].update(n=368, ttft_p99_s=0.456)

    page = Page(report_of(tmp_path, few).read_text())
    assert [dd.get("class") for dd in page.all("dd")].count(" weak") == 1
    assert "123 ms *" in page.words
    assert "n = 71: fewer than the 368 requests that bound a P99" in page.words
    assert "456 ms *" not in page.words
    assert "* of fewer than the 368 requests" in page.words
    summary = (tmp_path / "summary.md").read_text().replace("\\", "")
    assert "123 ms * |" in summary
    assert "* of fewer than the 368 requests" in summary


def test_how_many_were_hit_is_told_of_the_whole_cluster_with_how_many_matched(tmp_path: Path) -> None:
    def narrow(journal: dict[str, Any]) -> None:
        journal["faults"][0].update(targets=["one"], candidates=1)

    page = Page(report_of(tmp_path, narrow).read_text())
    assert "after 1 of 10 replicas (1 matched) was killed" in page.words.replace("\N{NO-BREAK SPACE}", " ")


def test_alerts_that_fired_are_listed_with_their_times(tmp_path: Path) -> None:
    def firing(journal: dict[str, Any]) -> None:
        still = {"resolved_s": None, "resolved_s_reason": "it was firing when the run ended"}
        journal["alerts"] = [{"name": "ReplicaDown", "severity": "ticket", "fired_s": 31.782, **still}]

    words = "".join(Page(report_of(tmp_path / "some", firing).read_text()).words.split())
    assert "ReplicaDownticket31.782sitwasfiringwhentherunended" in words
    none = report_of(tmp_path / "none", lambda journal: journal.update(alerts=[]))
    assert "No alert fired." in Page(none.read_text()).words


@pytest.mark.parametrize(
    ("exit_code", "word"), [(4, "ABORTED:"), (5, "CLEANUP INCOMPLETE:"), (130, "INTERRUPTED:")], ids=str
)
def test_a_run_that_ended_early_says_so_before_its_verdict(exit_code: int, word: str, tmp_path: Path) -> None:
    page = Page(report_of(tmp_path, lambda journal: journal.update(exit_code=exit_code)).read_text())
    assert word in page.words
