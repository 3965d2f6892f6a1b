"""What samples of the processor come to, by pure functions: tables of made-up samples."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaos.measuring.measurements import Measurements
from chaos.measuring.processor import FULL_AT, of_phase, read_samples, to_line
from chaos.measuring.timeline import Phase
from tests.support.killed_run import LIFE, measured, rows_of_a_kill
from tests.support.processor_samples import (
    BASELINE,
    Rates,
    always,
    full_from,
    samples,
    usage,
)


@pytest.fixture(scope="module")
def kill() -> Measurements:
    return measured(rows_of_a_kill(), *LIFE)


def test_time_by_role_is_told_in_cores_and_per_request_and_for_replicas_per_token(kill: Measurements) -> None:
    found = usage(samples(always(busy=1.5, replicas=0.75, load=0.25)), kill)
    assert found.roles["replicas"].cores == pytest.approx(0.75)
    assert found.roles["replicas"].ms_per_request == pytest.approx(75)
    assert found.roles["load"].ms_per_request == pytest.approx(25)
    assert found.ms_per_token == pytest.approx(25, rel=0.02)
    assert [found.ours_cores, found.others_cores] == pytest.approx([1.0, 0.5])
    assert [found.busy_share, found.full_share] == pytest.approx([0.75, 0.0])
    assert not found.full
    assert found.throttled_share is None
    assert found.pressure_share == pytest.approx(0.375)


def test_a_phase_without_arrivals_has_cores_and_no_cost_per_request(kill: Measurements) -> None:
    found = usage(samples(always(busy=1, replicas=0.5)), kill, Phase("quiet", 60.5, 61.5))
    assert found.roles["replicas"].cores == pytest.approx(0.5)
    assert (found.roles["replicas"].ms_per_request, found.ms_per_token) == (None, None)


def test_a_role_that_appears_later_counts_from_nothing(kill: Measurements) -> None:
    def rates(at_s: float) -> dict[str, float]:
        return {"busy": 1, "replicas": 0.5} | ({"standby": 0.5} if at_s >= 22 else {})

    assert usage(samples(rates), kill).roles["standby"].cores == pytest.approx(0.25)
    just_seen = usage(samples(rates), kill, Phase("just seen", 22.5, 23.5))
    assert just_seen.roles["standby"].cores == pytest.approx(0.5)


def test_between_two_samples_time_passes_evenly(kill: Measurements) -> None:
    found = usage(samples(full_from(20, 21)), kill, Phase("half of it", 19.5, 20.5))
    assert found.full_share == pytest.approx(0.5)
    assert found.busy_share == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("rates", "given", "full_share"),
    [
        pytest.param(always(busy=2 * FULL_AT + 0.001, replicas=0.5), {}, 1.0, id="busy with whatever"),
        pytest.param(always(busy=2 * FULL_AT - 0.001, replicas=0.5), {}, 0.0, id="nearly"),
        pytest.param(always(busy=1.5, steal=0.45, replicas=0.5), {}, 1.0, id="kept by a hypervisor"),
        pytest.param(full_from(5, 22), {}, 0.5, id="for half of the time"),
        pytest.param(
            always(busy=1, replicas=0.5), {"cores": 0.5}, 1.0, id="ours are all that the quota gives"
        ),
        pytest.param(
            always(busy=1, replicas=0.4), {"cores": 0.5}, 0.0, id="ours are less than the quota gives"
        ),
        pytest.param(
            always(busy=1, replicas=0.4, throttled=0.3),
            {"cores": 0.5, "quota": True},
            0.3,
            id="the quota was used up in three periods of ten",
        ),
        pytest.param(
            always(busy=1, replicas=0.4, throttled=1.7),
            {"cores": 0.5, "quota": True},
            1.0,
            id="two quotas within each other were",
        ),
    ],
)
def test_a_machine_is_full_where_nobody_could_have_had_more(
    rates: Rates, given: dict[str, Any], full_share: float, kill: Measurements
) -> None:
    assert usage(samples(rates, **given), kill).full_share == pytest.approx(full_share)


def test_what_is_not_ours_is_never_less_than_nothing(kill: Measurements) -> None:
    # Counters of processes and of cores are not read in the same instant.
    assert usage(samples(always(busy=0.5, replicas=0.6)), kill).others_cores == 0


def test_a_stretch_without_samples_has_no_usage_and_one_that_they_cover_in_part_ends_there(
    kill: Measurements,
) -> None:
    found = samples(always(busy=1, replicas=0.5), until_s=20)
    assert of_phase(found, kill.timeline, Phase("fault", 40, 44)) is None
    assert of_phase(found[:1], kill.timeline, BASELINE) is None
    assert of_phase([], kill.timeline, BASELINE) is None
    assert usage(found, kill).phase == replace(BASELINE, end_s=20)


def test_samples_come_back_from_their_file_on_the_run_clock_without_a_line_cut_short(tmp_path: Path) -> None:
    path, written = tmp_path / "processor.jsonl", samples(always(busy=1, replicas=0.5), quota=True)
    shifted = [replace(sample, at_s=sample.at_s + 1000) for sample in written]
    path.write_text("".join(to_line(sample) + "\n" for sample in shifted) + '{"at_s": 12')
    assert list(read_samples(path, 1000.0)) == written
    assert read_samples(tmp_path / "none", 0.0) == ()


@pytest.mark.parametrize("line", ['{"at_s": 1}', "[]", "{"])
def test_a_line_that_is_no_sample_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "processor.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match=r"sample|Expecting|property"):
        read_samples(tmp_path / "processor.jsonl", 0.0)
