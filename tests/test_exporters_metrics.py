"""The declarations: names, units, bucket edges, and the page written from them."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters import series, slo
from exporters.cli import main
from exporters.series import gateway, server
from exporters.series.family import Family, edges
from exporters.series.groups import GROUPS

FAMILIES = [family for group in GROUPS.values() for family in group]
METRICS_PAGE = Path(__file__).parents[1] / "METRICS.md"


@pytest.mark.parametrize(
    ("objective", "family"),
    [
        (slo.TTFT, server.TIME_TO_FIRST_TOKEN),
        (slo.ITL, server.INTER_TOKEN_LATENCY),
        (slo.TPOT, server.TIME_PER_OUTPUT_TOKEN),
        (slo.E2E, server.INFERENCE_LATENCY),
        (slo.E2E, gateway.GATEWAY_REQUEST_SECONDS),
    ],
    ids=lambda value: value.name,
)
def test_every_slo_bound_is_an_edge_with_resolution_below_it(
    objective: slo.Objective, family: Family
) -> None:
    assert objective.bound_s in family.buckets
    assert objective.bound_s is not None
    assert family.buckets[0] <= objective.bound_s / 10


@given(st.sets(st.floats(0.001, 100), min_size=1), st.floats(0.001, 100))
def test_edges_rise_and_hold_the_bound_and_nothing_new(upper: set[float], bound_s: float) -> None:
    made = edges(*upper, bound_s=bound_s)
    assert list(made) == sorted(upper | {bound_s})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_names_its_unit_and_says_what_it_means(family: Family) -> None:
    assert family.name.startswith("ds_")
    assert ":" not in family.name
    assert family.help.endswith(".")
    assert "|" not in family.help, "it would end a cell of the table in METRICS.md"
    if family.unit in {"seconds", "bytes", "ratio"}:
        assert family.name.removesuffix("_total").endswith(f"_{family.unit}")


def test_every_declared_family_is_in_one_group_under_a_name_of_its_own() -> None:
    declared = [
        value
        for module in pkgutil.iter_modules(series.__path__, "exporters.series.")
        for value in vars(importlib.import_module(module.name)).values()
        if isinstance(value, Family)
    ]
    assert sorted(family.name for family in FAMILIES) == sorted(family.name for family in declared)
    assert len({family.name for family in declared}) == len(declared)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("ds_x", "counter", "x"), "end in _total", id="counter without _total"),
        pytest.param(("ds_x_total", "gauge", "x"), "end in _total", id="gauge with _total"),
        pytest.param(("ds_x", "histogram", "x"), "histograms have buckets", id="histogram without buckets"),
        pytest.param(("ds_x", "gauge", "x", "", (), (1.0,)), "others have none", id="gauge with buckets"),
        pytest.param(("ds_x", "histogram", "x", "", (), (2.0, 1.0)), "must rise", id="falling edges"),
    ],
)
def test_a_contradictory_declaration_is_refused(arguments: tuple[object, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Family(*arguments)  # type: ignore[arg-type]  # the table varies types on purpose


@pytest.mark.parametrize(
    ("share", "bound_s"), [(0.0, 1.0), (1.0, 1.0), (99.0, 1.0), (0.99, 0.0), (0.99, -1.0)]
)
def test_an_impossible_objective_is_refused(share: float, bound_s: float) -> None:
    with pytest.raises(ValueError, match="x: "):
        slo.Objective("x", "x", share=share, bound_s=bound_s)


def test_the_committed_page_is_what_the_declarations_say() -> None:
    assert main(["docs", "--check", "--file", str(METRICS_PAGE)]) == 0


def test_a_stale_or_missing_page_is_told_apart_from_a_fresh_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "METRICS.md"
    assert main(["docs", "--check", "--file", str(page)]) == 1
    assert "python -m exporters docs" in capsys.readouterr().err
    assert main(["docs", "--file", str(page)]) == 0
    assert main(["docs", "--check", "--file", str(page)]) == 0
    page.write_text(page.read_text().replace("ds_kv_cache_usage_ratio", "ds_kv_usage"))
    assert main(["docs", "--check", "--file", str(page)]) == 1


def test_declarations_and_objectives_need_the_standard_library_alone() -> None:
    code = "import sys, exporters.series.groups, exporters.slo; print('prometheus_client' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == "False\n"


def test_no_module_of_the_package_pulls_in_torch_or_nvml() -> None:
    code = (
        "import importlib, pkgutil, sys, exporters\n"
        "names = [m.name for m in pkgutil.walk_packages(exporters.__path__, 'exporters.')]\n"
        "for name in names:\n"
        "    if not name.endswith('__main__'): importlib.import_module(name)\n"
        "print(len(names) > 5, sorted({'torch', 'pynvml'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout == "True []\n"
