"""What a real vLLM served before, during and after a kill, against the list of its release and its profile."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from exporters.profiles.coverage import Coverage, coverage
from exporters.profiles.library import profiles
from exporters.profiles.scraped import ScrapedFamily, scraped_families
from tests.data.make_expositions import FAMILIES, exposition, listed

REAL = Path(__file__).parent / "data" / "real"
MOMENTS = ("before", "during", "after")


def served(moment: str) -> str:
    return (REAL / f"vllm-0.32.0-{moment}.txt").read_text()


def families(text: str) -> dict[str, ScrapedFamily]:
    return {family.name: family for family in scraped_families(text) if family.name.startswith("vllm:")}


def label_names(family: ScrapedFamily) -> set[str]:
    return {label for sample in family.samples for label in sample}


def covered(text: str) -> Coverage:
    return coverage(scraped_families(text), profiles())


def value(text: str, series: str) -> float:
    [found] = re.findall(rf"^{re.escape(series)}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return float(found)


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_committed_list_of_the_release_is_what_it_serves(moment: str) -> None:
    real, committed = families(served(moment)), families(exposition(listed(FAMILIES / "vllm-0.32.0.yaml")))
    assert real.keys() == committed.keys()
    for name, family in real.items():
        assert family.type == committed[name].type
        assert family.edges() == committed[name].edges()
        assert label_names(family) == label_names(committed[name])


@pytest.mark.parametrize("moment", MOMENTS)
def test_it_tells_the_same_whatever_happens_to_it(moment: str) -> None:
    told = covered(served(moment))
    answers: Mapping[str, str] = {signal.signal: signal.answer for signal in told.signals}
    assert (told.profile.engine, told.also) == ("vllm", ())
    assert {name for name, answer in answers.items() if answer == "limited"} == {
        "e2e_seconds",
        "queue_seconds",
    }
    assert {name for name, answer in answers.items() if answer == "missing"} == {"comm_seconds"}
    assert {name for name, answer in answers.items() if answer == "yes"} == {
        *("request", "ttft_seconds", "itl_seconds", "tpot_seconds", "running", "waiting", "kv_usage"),
        *("prefix_hits", "prefix_lookups", "preemptions", "tokens"),
    }
    assert not [signal.note for signal in told.signals if "expected" in signal.note]


def test_the_survivor_counts_on_and_the_replacement_from_zero() -> None:
    """`before` and `during` are one process, `after` another: a counter that falls is a restart, not an answer."""
    before, during, after = map(served, MOMENTS)
    generated = [value(text, "vllm:generation_tokens_total") for text in (before, during, after)]
    started_s = [value(text, "process_start_time_seconds") for text in (before, during, after)]
    assert 0 < generated[0] < generated[1]
    assert 0 < generated[2] < generated[1]
    assert started_s[0] == started_s[1] < started_s[2]
