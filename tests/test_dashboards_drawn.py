"""The judge of drawn dashboards: what it finds in the facts of a page, each kind of fault made once."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.render.drawn import Expected, problems, value_of

Json = dict[str, Any]

FAULT = (1000.0, 1010.0)
DASHBOARD: Json = {
    "panels": [
        {"id": 1, "type": "row", "title": "Row"},
        {
            "id": 2,
            "type": "timeseries",
            "title": "Latency",
            "fieldConfig": {"defaults": {"unit": "s"}},
            "options": {"legend": {"calcs": ["max", "lastNotNull"]}},
            "targets": [{"refId": "A", "legendFormat": "P50"}, {"refId": "B", "legendFormat": "P99"}],
        },
        {
            "id": 3,
            "type": "stat",
            "title": "Tokens",
            "fieldConfig": {"defaults": {"unit": "suffix:tok/s"}},
            "targets": [{"refId": "A", "legendFormat": "tokens"}],
        },
        {"id": 4, "type": "text", "title": "Note"},
    ]
}


def text(words: str) -> Json:
    return {"text": words, "whole": True}


def facts(panel_id: int, title: str, **more: Any) -> Json:
    blank: Json = {
        "state": "Done", "errors": [], "frames": [], "axes": [], "legend": [], "figures": [],
        "ink": 0.05, "hiddenPx": 0, "saysNoValue": False, "errorBoxes": [], "regions": None,
    }  # fmt: skip
    return {"id": panel_id, "title": title, "words": [text(title)], **blank, **more}


def frame(ref_id: str, name: str, last: float) -> Json:
    return {"refId": ref_id, "name": name, "points": 60, "last": last}


GOOD: Json = {
    "failures": [],
    "windows": [{"fromMs": 1_000_000, "toMs": 1_010_000}],
    "panels": [
        facts(
            2,
            "Latency",
            frames=[frame("A", "P50", 0.25), frame("B", "P99", 1.5)],
            axes=[text("12:00:00"), text("0 s"), text("500 ms"), text("1 s")],
            legend=[["", "P50", "300 ms", "250 ms"], ["", "P99", "2 s", "1.50 s"]],
            regions=[[1_000_100, 1_010_200]],
        ),
        facts(
            3,
            "Tokens",
            frames=[frame("A", "tokens", 1636)],
            figures=[{"name": "tokens", "text": "1636 tok/s"}],
        ),
        facts(4, "Note", words=[text("Note"), text("words")]),
    ],
}


def latency(drawn: Json) -> Json:
    panel: Json = drawn["panels"][0]
    return panel


def judged(drawn: Json) -> list[str]:
    return problems(DASHBOARD, drawn, Expected(faults=[FAULT]))


def test_a_picture_that_shows_everything_has_no_problems() -> None:
    assert judged(GOOD) == []
    assert problems(DASHBOARD, GOOD, Expected()) == []


def test_a_panel_without_series_must_say_so_itself() -> None:
    drawn = copy.deepcopy(GOOD)
    latency(drawn).update(frames=[], saysNoValue=True, legend=[], axes=[])
    untold = Expected(faults=[FAULT], untold=("Latency",))
    assert problems(DASHBOARD, drawn, untold) == []
    latency(drawn).update(saysNoValue=False)
    assert problems(DASHBOARD, drawn, untold) == ["panel 'Latency': it does not say that it has no data"]


FAULTY: list[tuple[str, Callable[[Json], object], str]] = [
    ("page error", lambda d: d["failures"].append("boom"), "the page failed: boom"),
    ("panel missing", lambda d: d["panels"].pop(), "2 panels drawn of 3"),
    ("title", lambda d: latency(d).update(title=None), "panel 'Latency': its title is None"),
    ("blank in the picture", lambda d: latency(d).update(ink=0.0), "panel 'Latency': 0.00% of it is not blank"),
    ("query failed", lambda d: latency(d).update(state="Error"), "queries ended as Error"),
    ("query error", lambda d: latency(d).update(errors=["bad query"]), "error: bad query"),
    ("error box", lambda d: latency(d).update(errorBoxes=["crashed"]), "error: crashed"),
    ("no data", lambda d: latency(d).update(saysNoValue=True), "it has no data"),
    ("no frames", lambda d: latency(d).update(frames=[]), "it has no data"),
    ("a query without series", lambda d: latency(d)["frames"].pop(), "query B (P99) has no points"),
    ("no points", lambda d: latency(d)["frames"][1].update(points=0), "series 'P99' has no points"),
    ("no legend", lambda d: latency(d).update(legend=[]), "its legend names 0 of 2 series"),
    ("unit of the axis", lambda d: latency(d)["axes"].append(text("2")), "'2' is not in its unit 's'"),
    ("unit of the legend", lambda d: latency(d)["legend"][0].__setitem__(2, "30%"), "'30%' is not in its unit"),
    (
        "unit of a figure",
        lambda d: d["panels"][1]["figures"][0].update(text="1636  tok/s"),
        "panel 'Tokens': '1636  tok/s' is not in its unit 'suffix:tok/s'",
    ),
    ("no axis", lambda d: latency(d).update(axes=[text("12:00:00")]), "its axis has no values"),
    ("no times", lambda d: latency(d)["axes"].pop(0), "its axis has no times"),
    (
        "another value",
        lambda d: latency(d)["legend"][1].__setitem__(3, "1.60 s"),
        "'P99' is 1.5 and drawn as '1.60 s'",
    ),
    ("clipped axis", lambda d: latency(d)["axes"][1].update(whole=False), "'0 s' is cut off"),
    ("clipped words", lambda d: latency(d)["words"][0].update(whole=False), "'Latency' is cut off"),
    ("scrolled", lambda d: latency(d).update(hiddenPx=9), "9 pixels of it would have to be scrolled to"),
    ("no fault", lambda d: latency(d).update(regions=[]), "0 fault windows are painted, and there were 1"),
    ("fault elsewhere", lambda d: latency(d).update(regions=[[1_005_000, 1_015_000]]), "is painted from 1005.0"),
    ("empty text", lambda d: d["panels"][2].update(words=[text("Note")]), "panel 'Note': nothing is in it"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "complaint"), [each[1:] for each in FAULTY], ids=[each[0] for each in FAULTY]
)
def test_a_fault_in_a_picture_is_named_with_its_panel(
    spoil: Callable[[Json], object], complaint: str
) -> None:
    drawn = copy.deepcopy(GOOD)
    spoil(drawn)
    assert any(complaint in problem for problem in judged(drawn)), judged(drawn)


def test_a_panel_with_decimals_of_its_own_is_held_to_those() -> None:
    drawn, hundredths = copy.deepcopy(GOOD), copy.deepcopy(DASHBOARD)
    latency(drawn)["frames"][0] = frame("A", "P50", 0.0032)
    latency(drawn)["legend"][0][3] = "0.00 s"
    said = "panel 'Latency': 'P50' is 0.0032 and drawn as '0.00 s'"
    assert said in judged(drawn)
    panel = next(panel for panel in hundredths["panels"] if panel["title"] == "Latency")
    panel["fieldConfig"]["defaults"]["decimals"] = 2
    assert problems(hundredths, drawn, Expected(faults=[FAULT])) == []


@pytest.mark.parametrize(
    ("drawn", "unit", "value"),
    [
        ("0 s", "s", 0.0), ("26.3 ms", "s", 0.0263), ("1.5 mins", "s", 90.0), ("26.3", "s", None),
        ("0.3%", "percentunit", 0.003), ("0.3", "percentunit", None),
        ("37 req/s", "reqps", 37.0), ("1.2K req/s", "reqps", 1200.0), ("37 tok/s", "reqps", None),
        ("2", "short", 2.0), ("1.5 K", "short", 1500.0), ("2 s", "short", None),
        ("1 GiB", "bytes", 2.0**30), ("1 GB", "bytes", None),
        ("1636 tok/s", "suffix:tok/s", 1636.0), ("1636  tok/s", "suffix:tok/s", None),
        ("No data", "s", None), ("NaN", "s", None),
    ],
)  # fmt: skip
def test_a_drawn_text_is_a_number_in_its_unit_or_nothing(drawn: str, unit: str, value: float | None) -> None:
    assert value_of(drawn, unit) == pytest.approx(value)
