"""Engine profiles: every name is in a release's list of families and matches nothing else; files are read strictly."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters.profiles.library import ProfileError, parse, profile, profiles, read
from exporters.profiles.profile import Profile, Series
from exporters.profiles.scraped import ScrapedFamily, scraped_families
from exporters.profiles.signals import SIGNALS
from exporters.series.groups import GROUPS
from tests.data.make_expositions import EXPOSITIONS, FAMILIES, exposition, listed

DECLARED = {family.name: family for group in GROUPS.values() for family in group}
LISTS = {path.stem: listed(path) for path in sorted(FAMILIES.glob("*.yaml"))}
SERIES = [
    pytest.param(one, series, id=f"{one.engine}-{signal}-{number}")
    for one in profiles()
    for signal, parts in one.signals.items()
    for number, series in enumerate(parts)
]
SPELLINGS = {
    "vllm": ("vllm:", "vllm_", "kserve_vllm:", "kserve_vllm_"),
    "sglang": ("sglang:", "sglang_"),
}


def published(engine: str) -> dict[str, ScrapedFamily]:
    """The families of an engine's releases, as samples would show them with everything switched on."""
    if engine == "reference":
        return {
            name: ScrapedFamily(name, family.kind, [dict.fromkeys(family.labels, "x")])
            for name, family in DECLARED.items()
        }
    texts = [exposition(of, optional=True) for stem, of in LISTS.items() if stem.split("-")[0] == engine]
    return {family.name: family for text in texts for family in scraped_families(text)}


PUBLISHED = {one.engine: published(one.engine) for one in profiles()}


def matches(one: Profile, series: Series, names: Any) -> list[str]:
    return [name for name in names if re.fullmatch(one.expression(series), name)]


@pytest.mark.parametrize(("one", "series"), SERIES)
def test_a_series_is_one_published_family_of_its_type_and_no_other(one: Profile, series: Series) -> None:
    (name,) = matches(one, series, PUBLISHED[one.engine])
    family = PUBLISHED[one.engine][name]
    assert family.type == series.type
    assert not series.edges or list(series.edges) == family.edges()
    others = [other for engine, families in PUBLISHED.items() if engine != one.engine for other in families]
    assert matches(one, series, others) == []


@pytest.mark.parametrize(("one", "series"), SERIES)
def test_a_series_uses_labels_that_the_family_has_and_values_that_occur(one: Profile, series: Series) -> None:
    (name,) = matches(one, series, PUBLISHED[one.engine])
    samples = PUBLISHED[one.engine][name].samples
    assert {*series.labels.values(), *series.where} <= {label for labels in samples for label in labels}
    for label, pattern in series.where.items():
        assert any(re.fullmatch(pattern, labels[label]) for labels in samples)
    for normalised, mapping in series.values.items():
        for labels in samples:
            value = labels[series.labels[normalised]]
            assert any(re.fullmatch(pattern, value) for pattern in mapping), (
                f"{value} has no normalised value"
            )


@pytest.mark.parametrize("one", profiles(), ids=lambda one: one.engine)
def test_every_spelling_is_matched_and_says_which_engine_it_is(one: Profile) -> None:
    first, *others = SPELLINGS.get(one.engine, ("",))
    names = [
        name
        for parts in one.signals.values()
        for series in parts
        for name in matches(one, series, PUBLISHED[one.engine])
    ]
    for name in names:
        for other in others:
            respelled = other + name.removeprefix(first)
            assert any(
                re.fullmatch(one.expression(series), respelled)
                for parts in one.signals.values()
                for series in parts
            )
    assert any(re.fullmatch(one.detect, name) for name in PUBLISHED[one.engine])
    strangers = [name for engine, all_ in PUBLISHED.items() if engine != one.engine for name in all_]
    assert not [name for name in strangers if re.fullmatch(one.detect, name)]


@settings(deadline=None)
@given(
    which=st.sampled_from([param.values for param in SERIES]),
    before=st.text("abAB_:.", max_size=2),
    after=st.sampled_from(["", "_", "s", "_bucket", "_total", "_created", "x", " ", "\n"]),
    cut=st.integers(0, 3),
)
def test_nothing_that_differs_by_a_character_is_matched(
    which: tuple[Profile, Series], before: str, after: str, cut: int
) -> None:
    one, series = which
    (name,) = matches(one, series, PUBLISHED[one.engine])
    changed = before + name[: len(name) - cut] + after
    if changed != name:
        assert matches(one, series, [changed, name.swapcase()]) == []


def test_signals_are_those_that_the_rules_are_named_after() -> None:
    inference = [name for name in SIGNALS if not name.startswith("gpu_")]
    assert inference == [
        *("request", "e2e_seconds", "ttft_seconds", "itl_seconds", "tpot_seconds", "queue_seconds"),
        *(
            "queue_age_seconds",
            "running",
            "waiting",
            "kv_usage",
            "prefix_hits",
            "prefix_lookups",
            "preemptions",
            "tokens",
        ),
        "comm_seconds",
    ]


@pytest.mark.parametrize("one", profiles(), ids=lambda one: one.engine)
def test_every_signal_is_answered_by_series_or_a_reason(one: Profile) -> None:
    for signal in SIGNALS:
        assert (signal in one.signals) != (one.reason(signal) is not None)


@pytest.mark.parametrize("stem", LISTS)
def test_the_committed_expositions_are_what_the_lists_say_and_say_that_they_are_synthetic(stem: str) -> None:
    text = (EXPOSITIONS / f"{stem}.txt").read_text()
    assert text == exposition(LISTS[stem]), "run `python tests/data/make_expositions.py`"
    assert text.startswith("# synthetic: from the published series list of ")


@pytest.mark.parametrize("stem", LISTS)
def test_prometheus_reads_the_committed_expositions(stem: str) -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exposition(LISTS[stem]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "pars" not in checked.stderr, (
        "promtool may dislike an engine's names, but it must understand the lines"
    )


def test_prometheus_takes_every_expression_of_every_profile(tmp_path: Path) -> None:
    """It reads regular expressions by RE2, which has no look-around and no back-references."""
    expressions = [
        *(one.expression(series) for one in profiles() for parts in one.signals.values() for series in parts),
        *(one.detect for one in profiles()),
        *(
            pattern
            for one in profiles()
            for parts in one.signals.values()
            for series in parts
            for pattern in (*series.where.values(), *(key for keys in series.values.values() for key in keys))
        ),
    ]
    rules = [
        {"record": f"x:{number}", "expr": f"count({{__name__=~{json.dumps(text)}}})"}
        for number, text in enumerate(expressions)
        if not re.fullmatch(text, "")
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "x", "rules": rules}]}))
    checked = subprocess.run(
        ["promtool", "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def test_a_release_of_a_profile_is_one_whose_list_is_committed() -> None:
    for one in profiles():
        assert one.engine == "reference" or f"{one.engine}-{one.release}" in LISTS


def changed(**changes: Any) -> str:
    """A profile like TGI's, with these top-level keys changed."""
    values = yaml.safe_load((Path(__file__).parents[1] / "exporters/profiles/tgi.yaml").read_text())
    return yaml.safe_dump({**values, **changes})


def with_signals(**signals: list[dict[str, Any]]) -> str:
    values = yaml.safe_load(changed())
    values["signals"].update(signals)
    for absence in values["absent"]:
        absence["signals"] = [name for name in absence["signals"] if name not in signals]
    values["absent"] = [absence for absence in values["absent"] if absence["signals"]]
    return yaml.safe_dump(values)


def with_running(**series: Any) -> str:
    return with_signals(running=[{"name": "x", **series}])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("", "expected a mapping", id="empty"),
        pytest.param("a: [", "line 1: ", id="no YAML"),
        pytest.param(
            "format: 1\nformat: 1\n", "line 1: expected each key once, got twice: format", id="key twice"
        ),
        pytest.param(changed(colour="red"), "colour: unknown key, got 'red'", id="unknown key"),
        pytest.param(changed(format=2), "format: expected 1, got 2", id="later format"),
        pytest.param(
            changed(release=3.3), "release: expected a valid string, got 3.3", id="number as release"
        ),
        pytest.param(changed(prefix="tgi_("), "prefix: expected a regular expression", id="bad expression"),
        pytest.param(changed(absent=[]), "got nothing for ttft_seconds, itl_seconds", id="silence"),
        pytest.param(
            changed(absent=[{"signals": ["running", "ttft"], "reason": "because it is so"}]),
            "unknown signal ttft, expected one of request",
            id="unknown signal",
        ),
        pytest.param(
            with_signals(running=[{"name": "x", "type": "gauge"}, {"name": "y", "type": "meter"}]),
            "signals.running.1.type: expected 'counter', 'gauge', 'histogram' or 'summary', got 'meter'",
            id="unknown type",
        ),
        pytest.param(
            with_running(type="counter"),
            "signals.running[0]: a counter is no gauge: expected a `limit`",
            id="another kind without its limit",
        ),
        pytest.param(
            with_running(type="gauge", unit_factor=0),
            "signals.running.0.unit_factor: expected greater than 0, got 0",
            id="no factor",
        ),
        pytest.param(
            with_running(type="gauge", labels={"colour": "c"}),
            "signals.running[0]: unknown label colour",
            id="unknown label",
        ),
        pytest.param(
            with_signals(waiting=[{"name": "x", "type": "gauge", "values": {"reason": {"a": "b"}}}]),
            "signals.waiting[0].values: reason has no source",
            id="values of no label",
        ),
        pytest.param(
            with_running(type="gauge", sample="sum"),
            "only a histogram or a summary has a sum",
            id="sum of a gauge",
        ),
        pytest.param(with_running(type="gauge", since="0.9", until="0.10.1"), None, id="fine"),
        pytest.param(
            with_running(type="gauge", edges=[1.0]),
            "edges: expected rising ones, of a histogram",
            id="edges of a gauge",
        ),
        pytest.param(
            with_signals(ttft_seconds=[{"name": "x", "type": "histogram", "edges": [1.0, 1.0]}]),
            "edges: expected rising ones",
            id="falling edges",
        ),
        pytest.param(
            with_running(type="gauge", since="0.10", until="0.9"),
            "until: expected a release after 0.10, got 0.9",
            id="gone before it came",
        ),
        pytest.param(
            with_signals(
                prefix_hits=[{"name": "x", "type": "counter", "unit": "tokens"}],
                prefix_lookups=[{"name": "y", "type": "counter", "unit": "blocks"}],
            ),
            "prefix_hits, prefix_lookups: expected one `unit` for both",
            id="ratio across units",
        ),
    ],
)
def test_a_profile_that_is_not_understood_is_refused_with_its_place(text: str, complaint: str | None) -> None:
    if complaint is None:
        assert parse(text, "mine.yaml").engine == "tgi"
        return
    with pytest.raises(ProfileError) as refused:
        parse(text, "mine.yaml")
    assert str(refused.value).startswith("mine.yaml: ")
    assert complaint in str(refused.value)


def test_a_signal_under_signals_and_absent_is_refused() -> None:
    values = yaml.safe_load(changed())
    values["absent"].append({"signals": ["running"], "reason": "because it is so"})
    with pytest.raises(ProfileError, match="got twice: running"):
        parse(yaml.safe_dump(values), "mine.yaml")


def test_every_problem_of_a_file_is_named_at_once() -> None:
    with pytest.raises(ProfileError) as refused:
        parse(changed(colour="red", title=7, release=3.3), "mine.yaml")
    assert len(str(refused.value).splitlines()) == 3


def test_an_unknown_engine_and_an_unreadable_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="engine is one of dcgm, nvitop, reference"):
        profile("llama")
    with pytest.raises(ProfileError, match=r"none\.yaml: expected a readable text file"):
        read(tmp_path / "none.yaml")


def test_latencies_that_objectives_are_about_have_published_edges() -> None:
    without = {
        f"{one.engine} {signal}"
        for one in profiles()
        for signal in ("e2e_seconds", "ttft_seconds", "itl_seconds", "tpot_seconds", "queue_seconds")
        for series in one.signals.get(signal, ())
        if series.kind == "histogram" and not series.edges and one.engine != "reference"
    }
    # Of SGLang's queue only the beginning and the end of 40 edges are published, Triton's histogram is experimental.
    assert without == {"sglang queue_seconds", "triton ttft_seconds"}
