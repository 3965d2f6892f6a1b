"""A Workflow's StatusChecks: what they come to, what follows them, and a run whose course their answers decide."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.collecting.status_answers import ask, reached
from chaos.display.progress import QuietProgress
from chaos.errors import InputError
from chaos.events import EventKind, read_events
from chaos.experiment.experiment import read_experiment
from chaos.faults.agenda import Agenda
from chaos.faults.status_asking import Answer, Asking, Over
from chaos.faults.status_check import Http, StatusCheckSpec
from chaos.faults.timetable import Entry, timetable
from chaos.faults.workflow_course import Check
from chaos.record.details import StatusCheckDetail, told
from chaos.record.journal import Journal
from chaos.report import markdown, recorded, write_reports
from chaos.run_folder import RunFolder, create
from chaos.runner import Run
from chaos.targets import Endpoints
from tests.support.checked_workflow import answering, check, experiment, of, template
from tests.support.fake_target import FakeTarget
from tests.support.scripted_server import ScriptedServer


def spec(**changes: Any) -> StatusCheckSpec:
    http = {"url": "http://server/healthz", "criteria": {"statusCode": "200"}}
    values = {"http": http, "intervalSeconds": 1, "failureThreshold": 3, "successThreshold": 2, **changes}
    return StatusCheckSpec.model_validate(values)


def asking(answers: str, deleted_s: float | None = 30.0, **changes: Any) -> Asking:
    """One that was answered so: `+` good, `-` bad."""
    aborts = changes.pop("aborts", True)
    check = Check("0", "ready", spec(**changes), 0.0, deleted_s, aborts)
    return Asking(check, [Answer(letter == "+", "") for letter in answers])


@pytest.mark.parametrize(
    ("answers", "mode", "over"),
    [
        ("", "Synchronous", None),
        ("+", "Synchronous", None),
        ("+-+", "Synchronous", None),
        ("-++", "Synchronous", Over(9.0, "2 good answers in a row", aborts=False)),
        ("+---", "Synchronous", Over(9.0, "3 bad answers in a row", aborts=True)),
        ("+++++", "Continuous", None),
        ("++---", "Continuous", Over(9.0, "3 bad answers in a row", aborts=True)),
        ("--+--", "Continuous", None),
    ],
)
def test_answers_in_a_row_decide_and_a_continuous_one_is_never_over_by_good_ones(
    answers: str, mode: str, over: Over | None
) -> None:
    assert asking(answers, mode=mode).over(9.0) == over


def test_one_that_has_not_succeeded_when_its_duration_is_over_aborts_and_at_a_deadline_none_does() -> None:
    timed: dict[str, Any] = {"mode": "Continuous", "duration": "10s"}
    assert asking("+-+-", **timed).over(9.9) is None
    assert asking("+-+-", **timed).over(10.1) == Over(10.0, "its duration was over", aborts=True)
    assert asking("-++", **timed).over(10.1) == Over(10.0, "its duration was over", aborts=False)
    assert asking("+-+-", **timed, aborts=False).over(10.1) == Over(
        10.0, "its duration was over", aborts=False
    )
    assert asking("+-+-").over(30.0) == Over(30.0, "its deadline was over", aborts=False)
    assert asking("--", 5.0, **timed).over(10.1) == Over(5.0, "its deadline was over", aborts=False)


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 4), st.integers(1, 4))
def test_it_is_over_at_the_first_run_that_is_long_enough(
    answers: list[bool], failures: int, successes: int
) -> None:
    said = "".join("+" if good else "-" for good in answers)
    thresholds: dict[str, Any] = {"failureThreshold": failures, "successThreshold": successes}
    lengths = [n for n in range(len(said) + 1) if asking(said[:n], None, **thresholds).over(1.0) is not None]
    runs = [said.find("-" * failures) + failures, said.find("+" * successes) + successes]
    runs = [end for end, threshold in zip(runs, (failures, successes), strict=True) if end >= threshold]
    assert (lengths[0] if lengths else None) == min(runs, default=None)


def test_a_status_within_the_range_is_good_and_no_answer_in_time_is_bad() -> None:
    def http(url: str, code: str, **more: Any) -> Http:
        return Http.model_validate({"url": url, "criteria": {"statusCode": code}, **more})

    with answering(200, 204, 404, 503, 0) as (url, script):
        found = [ask(http(url, code), url, 5.0) for code in ("200", "200-299", "400-404", "200-404")]
        assert found == [
            Answer(True, "status 200"),
            Answer(True, "status 204"),
            Answer(True, "status 404"),
            Answer(False, "status 503"),
        ]
        late = ask(http(url, "200"), url, 0.3)
        assert (late.good, late.saw) == (False, "expected an answer within 0.3 s")
        script.statuses[:] = [200]
        posted = http(url, "200", method="POST", body="{}", headers={"X-Team": ["a", "b"]})
        assert ask(posted, url, 5.0).good
        assert script.asked[-1] == ("POST", "a, b", "{}")
    gone = ask(http(url, "200"), url, 1.0)
    assert not gone.good
    assert "expected an endpoint that answers" in gone.saw
    nowhere = ask(http("/healthz", "200"), "/healthz", 1.0)
    assert (nowhere.good, "unknown url type" in nowhere.saw) == (False, True)


def test_a_url_that_names_the_service_is_that_of_the_targets_gateway() -> None:
    names = ("reference-server", "reference-server.inference.svc")
    where = Endpoints("http://127.0.0.1:4711", None, None, service_names=names)
    assert (
        reached("http://reference-server:8000/v1/models?a=b", where) == "http://127.0.0.1:4711/v1/models?a=b"
    )
    assert reached("http://reference-server.inference.svc/", where) == "http://127.0.0.1:4711/"
    assert reached("http://Reference-Server.inference.svc.:80/a", where) == "http://127.0.0.1:4711/a"
    behind = Endpoints("https://llm.example.com/llama/v1", None, None, service_names=names)
    assert reached("http://reference-server/healthz", behind) == "https://llm.example.com/llama/healthz"
    for other in ("http://somebody.else/", "/healthz", "https://reference-server/"):
        assert reached(other, where) == other


def test_what_is_laid_out_anew_comes_earlier_or_never_and_what_has_begun_ends() -> None:
    def steps(*entries: Entry) -> Any:
        return timetable(entries, seed=1, baseline_ends_s=0.0).steps

    began, follows = (
        Entry("a", 1.0, lasts=True, until_s=9.0),
        Entry("b", 20.0, lasts=True, until_s=25.0, after_check="x#1"),
    )
    other = Entry("c", 30.0, lasts=False)
    agenda = Agenda(steps(began, follows, other))
    assert agenda.due(1.0) is not None
    agenda.lay_out_anew({"a#1", "b#1"}, steps(began, Entry("b", 5.0, lasts=True, until_s=10.0), other))
    taken = []
    while (step := agenda.due(100.0)) is not None:
        taken.append((step.at_s, step.action, step.occurrence))
    assert taken == [
        (5.0, "inject", "b#1"),
        (9.0, "recover", "a#1"),
        (10.0, "recover", "b#1"),
        (30.0, "inject", "c#1"),
    ]
    agenda = Agenda(steps(began, follows, other))
    assert agenda.due(1.0) is not None
    agenda.lay_out_anew({"a#1", "b#1"}, ())
    assert [agenda.due(100.0), agenda.due(100.0), agenda.due(100.0)] == [
        steps(began)[1],
        steps(began, follows, other)[-1],
        None,
    ]


def run(folder: Path, *templates: dict[str, Any]) -> tuple[RunFolder, Journal]:
    """A run of some seconds, on a target of a few lines and under real load."""
    path = experiment(folder, *templates)
    out = create("small", folder / "run")
    out.experiment.write_text(path.read_text())
    (out.path / "drill.yaml").write_text((folder / "drill.yaml").read_text())
    target = FakeTarget()
    with ScriptedServer() as server, (folder / "screen").open("w") as screen:
        target.url = server.url("ok")
        read = read_experiment(out.experiment)
        journal = Run(read, out, QuietProgress(screen), open_target=lambda _: target).run()
    write_reports(out)
    return out, journal


def events(folder: RunFolder, kind: EventKind) -> Sequence[StatusCheckDetail]:
    return [said for _, said in told(read_events(folder.events), StatusCheckDetail, kind)]


def test_what_follows_a_check_begins_once_that_is_over_and_the_report_tells_what_it_saw(
    tmp_path: Path,
) -> None:
    with answering(503, 200) as (url, script):
        folder, journal = run(
            tmp_path,
            of("Serial", "all", "one", "ready", "two"),
            template("one", "1s"),
            check("ready", url),
            template("two", "1s"),
        )
    assert [one.id for one in journal.faults] == ["one#1", "two#1"]
    (found,) = journal.status_checks
    assert (found.id, found.workflow, found.good, found.bad) == ("ready#1", "drill", 1, 1)
    assert (found.saw, found.how, found.aborted) == ("status 200", "1 good answer", False)
    assert len(script.asked) == 2, "the first one after one interval"
    one, two = journal.faults
    assert one.started_s < found.began_s
    assert found.began_s + 1.9 <= found.ended_s <= two.started_s <= found.ended_s + 0.5
    assert found.ended_s - found.began_s < 5.0, "long before its deadline"
    assert not journal.reasons
    plan = json.loads(folder.timetable.read_text())["steps"]
    assert [step.get("after_check") for step in plan] == [None, None, "ready#1", "ready#1"]
    assert plan[2]["at_s"] - plan[0]["at_s"] == pytest.approx(1 + 6)
    row = ("ready#1", "drill", f"GET {url} every 1 s, for status 200")
    summary = folder.summary.read_text()
    assert all(markdown.text(cell) in summary for cell in row)
    assert "1 good answer" in summary
    assert url in folder.report.read_text()
    assert recorded.read(folder).journal.status_checks == journal.status_checks


def test_a_check_that_fails_aborts_its_workflow_and_the_run_is_inconclusive(tmp_path: Path) -> None:
    with answering(200, 500) as (url, _):
        folder, journal = run(
            tmp_path,
            of("Parallel", "all", "faults", "watchful"),
            of("Serial", "faults", "one", "two"),
            template("one", "8s"),
            template("two", "1s"),
            check("watchful", url, "10s", mode="Continuous", aborts=True),
        )
    (fault,) = journal.faults
    (found,) = journal.status_checks
    assert (found.aborted, found.how, found.withheld) == (True, "2 bad answers in a row", ("two#1",))
    assert fault.undone is True
    assert fault.ended_s is not None
    assert fault.ended_s - fault.started_s < 6.0, "at once, and not at its deadline"
    assert journal.verdict == "inconclusive"
    assert any("watchful#1 aborted its Workflow" in reason for reason in journal.reasons)
    assert markdown.text("not injected: two#1") in folder.summary.read_text()
    (over,) = events(folder, EventKind.STATUS_CHECK_OVER)
    assert (over.bad, over.saw) == (2, "status 500")


@pytest.mark.parametrize(
    ("templates", "complaint"),
    [
        (
            (
                of("Serial", "all", "ready", "one"),
                check("ready", "http://x/", None),
                template("one", "1s"),
            ),
            "neither a deadline nor a duration",
        ),
        (
            (
                of("Serial", "all", "ready", "one", deadline="5s"),
                check("ready", "http://x/", "6s"),
                template("one", "1s"),
            ),
            "leaves no time for one to begin",
        ),
    ],
)
def test_what_may_never_begin_is_refused(
    tmp_path: Path, templates: tuple[dict[str, Any], ...], complaint: str
) -> None:
    path = experiment(tmp_path, *templates)
    with pytest.raises(InputError, match=complaint):
        read_experiment(path)


def test_a_target_that_cannot_reach_the_clusters_names_refuses_it(tmp_path: Path) -> None:
    path = experiment(
        tmp_path,
        of("Serial", "all", "ready", "one"),
        check("ready", "http://x/"),
        template("one", "1s"),
        target={"external": {"url": "http://127.0.0.1:1"}},
    )
    with pytest.raises(
        InputError, match="its StatusCheck ready asks http://x/, which is of the cluster's own"
    ):
        read_experiment(path)
