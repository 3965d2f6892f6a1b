"""A file of objectives: what it means, and that whatever is not understood is refused with its place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters import slo
from exporters.slo import Objective
from exporters.slo_file import KNOWN, SloFileError, read_slo, slo_text

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "chaos" / "objectives" / "70b.yaml"
SOUND = """\
ttft: {bound: 2s, share: 99%}
e2e: {bound: 1m30s, share: 0.95}
availability: {share: 99.9 %}
"""


def read(folder: Path, text: str) -> tuple[Objective, ...]:
    path = folder / "slo.yaml"
    path.write_text(text)
    return read_slo(path)


def refusal(folder: Path, text: str) -> list[str]:
    with pytest.raises(SloFileError) as refused:
        read(folder, text)
    return str(refused.value).replace(str(folder / "slo.yaml"), "slo.yaml").splitlines()


def test_bounds_are_durations_and_shares_are_percentages_or_ratios(tmp_path: Path) -> None:
    found = {each.name: (each.bound_s, each.share) for each in read(tmp_path, SOUND)}
    assert found == {"ttft": (2.0, 0.99), "e2e": (90.0, 0.95), "availability": (None, 0.999)}


def test_an_objective_that_is_left_out_is_none_and_never_that_of_the_demo(tmp_path: Path) -> None:
    objectives = read(tmp_path, SOUND)
    assert slo.named(objectives, "itl") is None
    assert slo.named(objectives, "goodput") is None


def test_the_example_has_every_objective_and_none_of_the_demos_bounds() -> None:
    objectives = read_slo(EXAMPLE)
    assert [each.name for each in objectives] == list(KNOWN)
    for each in objectives:
        assert each.bound_s is None or each.bound_s > (KNOWN[each.name].bound_s or 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SOUND.replace("2s", "2"), "slo.yaml:1: ttft.bound: expected a duration such as 250ms, 2s or 1m30s"),
        (SOUND.replace("2s", "0s"), "slo.yaml:1: ttft.bound: expected a duration"),
        (SOUND.replace("2s", "3 days"), "up to a day, got 3 days"),
        (SOUND.replace("0.95", "1"), "slo.yaml:2: e2e.share: expected a share such as 99% or 0.99"),
        (SOUND.replace("0.95", "90%"), "above 93.1% and below 100%, got 90%"),
        (SOUND.replace("99.9 %", "100%"), "slo.yaml:3: availability.share: expected a share"),
        (SOUND.replace("{share: 99.9 %}", "{bound: 1s, share: 99%}"), "availability.bound: unknown key"),
        (SOUND.replace("{share: 99.9 %}", "99.9%"), "availability: expected a mapping of share, got 99.9%"),
        (SOUND + "itl: {share: 99%}", "slo.yaml:4: itl.bound: expected this key"),
        (SOUND + "tttf: {bound: 1s, share: 99%}", "slo.yaml:4: tttf: unknown key (did you mean ttft?)"),
        (SOUND + "ttft: {bound: 1s, share: 99%}", "slo.yaml:4: ttft: expected each key once"),
        ("ttft: {bound: 2s, share: 99%}", "slo.yaml:1: availability: expected this key"),
        (
            "- ttft",
            "slo.yaml:1: document: expected a mapping of ttft, itl, tpot, e2e, availability, goodput, got a list",
        ),
        ("", "slo.yaml:1: document: expected a mapping"),
        ("ttft: [", "slo.yaml:1: expected YAML"),
    ],
)
def test_what_is_not_understood_is_refused_with_file_line_key_path_value_and_expectation(
    tmp_path: Path, text: str, said: str
) -> None:
    assert said in "\n".join(refusal(tmp_path, text))


def test_every_problem_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    said = refusal(tmp_path, "ttft: {bound: soon, share: some}\nspeed: high\n")
    places = [line.split(": ")[1] for line in said]
    assert places == ["ttft.bound", "ttft.share", "speed", "e2e", "availability"]


def test_a_file_that_is_not_there_or_is_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(SloFileError, match=r"none\.yaml: expected a file of objectives: No such file"):
        read_slo(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SloFileError, match=r"bytes\.yaml: expected text in UTF-8"):
        read_slo(tmp_path / "bytes.yaml")


@given(st.integers(1, 86_400_000), st.integers(9_310, 9_999))
def test_what_is_written_is_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, milliseconds: int, share: int
) -> None:
    objectives = tuple(
        Objective(name, each.meaning, share / 10_000, None if each.bound_s is None else milliseconds / 1000)
        for name, each in KNOWN.items()
    )
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    path.write_text(slo_text(objectives))
    assert read_slo(path) == objectives
