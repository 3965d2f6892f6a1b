"""Each family that is exported is on a dashboard, in a rule, or on a list with the reason why it is on neither."""

import re
from functools import cache

import pytest

from dashboards.build import texts
from exporters.series.groups import GROUPS

FAMILIES = {family.name: family for families in GROUPS.values() for family in families}
STEPS = "Inference engine"
NOWHERE = {
    "ds_build_info": "which release runs is looked up when something else is odd; it has no good and no bad value",
    "ds_gpu_nvlink_links_active": "how many links a device has differs by machine; a lost one shows in the bytes",
    "ds_collector_duration_seconds": "the panel of the slowest scrape has their sum; by collector for whoever asks why",
    "ds_probe_duration_seconds": "of an answered probe it is TTFT and TPOT, which have panels; of others, the timeout",
    "ds_probe_age_seconds": "only for a prober that hangs: without it, its other series would look fresh for ever",
}
"""Why nobody looks at it on a dashboard, and no rule reads it."""
PARTS = ("", "_bucket", "_count", "_sum")


@cache
def pages() -> dict[str, str]:
    return dict(texts())


@cache
def queried() -> str:
    """Everything that dashboards and rules of the reference server say."""
    ours = [
        text
        for path, text in pages().items()
        if path.endswith((".json", "/rules/reference.yaml", "/live.rules.yaml"))
    ]
    assert len(ours) > 8
    return "\n".join(ours)


def is_in(name: str, text: str) -> bool:
    return any(re.search(rf"\b{name}{part}\s*[{{\[)]", text) for part in PARTS)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_on_a_dashboard_in_a_rule_or_on_the_list(name: str) -> None:
    assert is_in(name, queried()) != (name in NOWHERE)


def test_the_list_names_families_that_there_are_and_says_why() -> None:
    assert NOWHERE.keys() <= FAMILIES.keys()
    assert all(len(reason) > 20 for reason in NOWHERE.values())


def test_a_family_whose_name_only_begins_alike_is_not_taken_for_it() -> None:
    assert is_in("ds_a", "sum (ds_a{job=~'x'})")
    assert is_in("ds_a", "rate(ds_a_bucket[5m])")
    assert not is_in("ds_a", "sum (ds_a_b{job=~'x'}) + other_ds_a{} about ds_a itself")


def test_all_seven_families_of_an_engines_steps_have_a_panel() -> None:
    boards = "\n".join(text for path, text in pages().items() if path.endswith(".json"))
    assert [one.name for one in GROUPS[STEPS] if not is_in(one.name, boards)] == []
    assert len(GROUPS[STEPS]) == 7
