"""Commands against somebody else's service: proved, undone on every path, and found again when a run was lost."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.errors import CleanupError, InputError, RefusedError
from chaos.targets import SERVICE
from chaos.targets.effects import Command
from chaos.targets.external import lost_faults
from chaos.targets.external.exclusive import Claim
from chaos.targets.external.options import ExternalOptions
from chaos.targets.external.service import Service
from chaos.targets.external.target import ExternalTarget
from chaos.targets.options import Opening
from tests.conftest import Eventually
from tests.support.scripted_server import ScriptedServer

OCCURRENCE = "pause#1"


@pytest.fixture(autouse=True)
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record of faults in force, the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "aftershock" / "faults"


@pytest.fixture
def service() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


def shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def flag_fault(flag: Path, *, timeout_s: float = 10.0, **changes: str) -> Command:
    """In force is what has a file; each command says that it ran."""
    ran = flag.with_suffix(".ran")
    scripts = {
        "do": f"echo do >> {ran}; touch {flag}",
        "prove": f"test -e {flag}",
        "undo": f"echo undo >> {ran}; rm -f {flag}",
        **changes,
    }
    return Command(**{verb: shell(script) for verb, script in scripts.items()}, timeout_s=timeout_s)


def ran(flag: Path) -> list[str]:
    path = flag.with_suffix(".ran")
    return path.read_text().split() if path.exists() else []


def target_of(url: str, folder: Path) -> ExternalTarget:
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    return ExternalTarget(Service(url), Opening("drill", folder, 1))


def test_a_fault_is_proved_before_in_force_and_after(
    service: ScriptedServer, tmp_path: Path, record: Path
) -> None:
    flag = tmp_path / "flag"
    with target_of(service.url(), tmp_path) as target:
        target.aim(OCCURRENCE, [flag_fault(flag)], ())
        assert len(list(record.glob("*.json"))) == 1, "on record before anything is done"
        assert not flag.exists()
        before_s = time.monotonic()
        at_s = target.inject(OCCURRENCE, ())
        assert before_s <= at_s <= time.monotonic()
        [seen] = target.verify(OCCURRENCE, 5.0)
        assert (seen.replica, seen.verified) == (SERVICE, True)
        assert "ended with exit code 0" in seen.how
        target.recover(OCCURRENCE)
        [gone] = target.verify_recovered(OCCURRENCE, 5.0)
        assert gone.verified
        assert not list(record.iterdir()), "off the record once its undoing is proved"
    assert ran(flag) == ["do", "undo"]


def test_a_proof_that_succeeds_before_the_fault_is_refused(service: ScriptedServer, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    with target_of(service.url(), tmp_path) as target, pytest.raises(RefusedError, match="succeeds before"):
        target.aim(OCCURRENCE, [flag_fault(flag)], ())
    assert ran(flag) == []


def test_a_proof_that_cannot_be_run_is_wrong_input(service: ScriptedServer, tmp_path: Path) -> None:
    fault = Command(shell("true"), ("no-such-program-anywhere",), shell("true"))
    with (
        target_of(service.url(), tmp_path) as target,
        pytest.raises(InputError, match=r"no-such-program-anywhere.*could not be started"),
    ):
        target.aim(OCCURRENCE, [fault], ())


@pytest.mark.parametrize(
    ("do", "timeout_s", "how"),
    [
        pytest.param(
            "touch {flag}; echo no such pod; exit 3", 10.0, "exit code 3: no such pod", id="it fails"
        ),
        pytest.param("touch {flag}; sleep 60", 0.5, "had not ended after 0.5 s", id="it hangs"),
    ],
)
def test_a_command_that_fails_leaves_nothing_in_force_and_says_why(
    service: ScriptedServer, tmp_path: Path, record: Path, do: str, timeout_s: float, how: str
) -> None:
    flag = tmp_path / "flag"
    with target_of(service.url(), tmp_path) as target:
        target.aim(OCCURRENCE, [flag_fault(flag, do=do.format(flag=flag), timeout_s=timeout_s)], ())
        with pytest.raises(RefusedError, match=how):
            target.inject(OCCURRENCE, ())
        assert not flag.exists()
        target.recover(OCCURRENCE)
        assert target.verify_recovered(OCCURRENCE, 1.0) == ()
    assert ran(flag) == ["undo"], "undone at once, and not a second time"
    assert not list(record.iterdir())
    assert "sleep 60" in (tmp_path / "logs" / f"{OCCURRENCE}.log").read_text() or "exit" in how


def test_an_undoing_that_fails_is_loud_and_stays_on_record(
    service: ScriptedServer, tmp_path: Path, record: Path
) -> None:
    flag = tmp_path / "flag"
    key = tmp_path / "key"
    target = target_of(service.url(), tmp_path)
    target.__enter__()
    target.aim(OCCURRENCE, [flag_fault(flag, undo=f"test -e {key} && rm -f {flag}")], ())
    target.inject(OCCURRENCE, ())
    with pytest.raises(CleanupError, match="not undone"):
        target.recover(OCCURRENCE)
    with pytest.raises(CleanupError, match="not undone"):
        target.__exit__(None, None, None)
    assert len(list(record.glob("*.json"))) == 1
    assert lost_faults.find() == [], "its runner still lives"
    key.touch()
    [path] = record.glob("*.json")
    lost_faults.undo(lost_faults.read(path))
    assert not flag.exists()


def test_leaving_the_target_undoes_what_is_in_force(
    service: ScriptedServer, tmp_path: Path, record: Path
) -> None:
    flag = tmp_path / "flag"
    with target_of(service.url(), tmp_path) as target:
        target.aim(OCCURRENCE, [flag_fault(flag)], ())
        target.inject(OCCURRENCE, ())
        assert flag.exists()
    assert not flag.exists()
    assert not list(record.iterdir())


# --- A runner that is killed

_RUNNER = """
import sys, time
from pathlib import Path
from chaos.targets.options import Opening
from chaos.targets.effects import Command
from chaos.targets.external.service import Service
from chaos.targets.external.target import ExternalTarget
url, folder, *commands = sys.argv[1:]
(Path(folder) / "logs").mkdir(parents=True)
with ExternalTarget(Service(url), Opening("drill", Path(folder), 1)) as target:
    target.aim("pause#1", [Command(*(("sh", "-c", each) for each in commands), timeout_s=20.0)], ())
    print("aimed", flush=True)
    sys.stdin.readline()
    target.inject("pause#1", ())
    print("injected", flush=True)
    time.sleep(600)
"""


class Runner:
    """A runner in a process of its own, which can be killed."""

    def __init__(self, url: str, folder: Path, fault: Command) -> None:
        scripts = [command[-1] for command in (fault.do, fault.prove, fault.undo)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _RUNNER, url, str(folder), *scripts],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=10)


def test_a_runner_that_is_killed_leaves_no_fault(
    service: ScriptedServer, tmp_path: Path, record: Path, eventually: Eventually
) -> None:
    flag = tmp_path / "flag"
    runner = Runner(service.url(), tmp_path / "run", flag_fault(flag))
    runner.says("aimed")
    runner.go()
    runner.says("injected")
    assert flag.exists()
    runner.kill()
    eventually(lambda: not flag.exists(), within_s=20, what="the guardian's undoing")
    eventually(lambda: not list(record.glob("*.json")), within_s=20, what="an empty record")
    assert ran(flag) == ["do", "undo"]


def test_a_runner_that_is_killed_while_the_command_runs_leaves_neither_command_nor_fault(
    service: ScriptedServer, tmp_path: Path, record: Path, eventually: Eventually
) -> None:
    flag = tmp_path / "flag"
    late = tmp_path / "late"
    do = f"touch {flag}; echo do >> {flag.with_suffix('.ran')}; sleep 30; touch {late} {flag}"
    runner = Runner(service.url(), tmp_path / "run", flag_fault(flag, do=do))
    runner.says("aimed")
    runner.go()
    eventually(flag.exists, within_s=20, what="the command under way")
    runner.kill()
    eventually(lambda: not list(record.glob("*.json")), within_s=20, what="an empty record")
    assert (flag.exists(), late.exists()) == (False, False)
    assert ran(flag) == ["do", "undo"]


def test_a_runner_that_is_killed_before_it_did_anything_leaves_nothing_to_undo(
    service: ScriptedServer, tmp_path: Path, record: Path, eventually: Eventually
) -> None:
    flag = tmp_path / "flag"
    runner = Runner(service.url(), tmp_path / "run", flag_fault(flag))
    runner.says("aimed")
    runner.kill()
    eventually(lambda: not list(record.glob("*.json")), within_s=20, what="an empty record")
    assert ran(flag) == []


def test_recover_undoes_what_was_left_when_the_guardian_was_killed_too(
    service: ScriptedServer, tmp_path: Path, record: Path, eventually: Eventually
) -> None:
    flag = tmp_path / "flag"
    runner = Runner(service.url(), tmp_path / "run", flag_fault(flag))
    runner.says("aimed")
    runner.go()
    runner.says("injected")
    [path] = record.glob("*.json")
    os.kill(int(json.loads(path.read_text())["guardian"].partition(":")[0]), signal.SIGKILL)
    runner.kill()
    assert flag.exists()

    def recover(*options: str) -> str:
        child = subprocess.run(
            [sys.executable, "-m", "chaos", "recover", *options], capture_output=True, text=True, check=True
        )
        return child.stdout

    assert f"would end fault {OCCURRENCE}" in recover("--dry-run")
    assert flag.exists()
    said = recover()
    assert f"ended fault {OCCURRENCE}: sh -c" in said
    assert not flag.exists()
    assert OCCURRENCE not in recover(), "what other tests have just lost may be there"


def test_a_guardian_that_is_killed_does_not_keep_the_runner_from_undoing(
    service: ScriptedServer, tmp_path: Path, record: Path
) -> None:
    flag = tmp_path / "flag"
    with target_of(service.url(), tmp_path) as target:
        target.aim(OCCURRENCE, [flag_fault(flag)], ())
        target.inject(OCCURRENCE, ())
        [path] = record.glob("*.json")
        os.kill(int(json.loads(path.read_text())["guardian"].partition(":")[0]), signal.SIGKILL)
        target.recover(OCCURRENCE)
        [gone] = target.verify_recovered(OCCURRENCE, 5.0)
        assert gone.verified
    assert not flag.exists()
    assert not list(record.iterdir())


# --- Whether there is a service at all


@pytest.mark.parametrize(
    ("script", "model", "error", "complaint"),
    [
        ("no_models-404", None, RefusedError, "cannot learn the model"),
        ("status-401", "tiny", InputError, "refuses a request to tiny with 401"),
        ("status-503", "tiny", RefusedError, "answers a request to tiny with 503"),
        ("eof", "tiny", RefusedError, "no service at"),
    ],
)
def test_a_service_that_does_not_answer_is_refused_on_entering(
    service: ScriptedServer,
    tmp_path: Path,
    script: str,
    model: str | None,
    error: type[Exception],
    complaint: str,
) -> None:
    target = ExternalTarget(Service(service.url(script), model=model), Opening("drill", tmp_path, 1))
    with pytest.raises(error, match=complaint), target:
        pytest.fail("entered")


@pytest.mark.parametrize(
    ("url", "key", "complaint"),
    [
        pytest.param(
            "http://127.0.0.1:1/metrics",
            "metrics",
            "metrics.0.: nothing answers as it should at",
            id="nobody",
        ),
        pytest.param("{status-404}", "prometheus", "prometheus: .* answers 404", id="not there"),
        pytest.param("{ok}/v1/models", "gateway_metrics", "expected an aftershock gateway's", id="another's"),
    ],
)
def test_another_url_that_does_not_serve_what_its_key_promises_is_wrong_input(
    service: ScriptedServer, tmp_path: Path, url: str, key: str, complaint: str
) -> None:
    found = url.replace("{ok}", service.url()).replace("{status-404}", service.url("status-404"))
    options = ExternalOptions.model_validate(
        {"url": service.url(), key: (found,) if key == "metrics" else found}
    )
    with pytest.raises(InputError, match=complaint), options.open(Opening("drill", tmp_path, 1)):
        pytest.fail("entered")


def test_the_key_and_what_the_service_takes_are_in_the_first_request(
    service: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-1")
    options = ExternalOptions(url=service.url(), api_key_env="SOME_KEY")
    (tmp_path / "logs").mkdir()
    with options.open(Opening("drill", tmp_path, 1, ignore_eos=False)) as target:
        endpoints = target.endpoints()
    assert (endpoints.model, endpoints.api_key) == ("tiny", "sk-1")
    assert "sk-1" not in repr(endpoints)
    _, headers, body = service.requests[-1]
    assert headers["authorization"] == "bearer sk-1"
    assert b"ignore_eos" not in body


def test_a_variable_for_the_key_that_is_not_set_is_a_problem_of_the_file() -> None:
    [problem] = ExternalOptions(url="http://127.0.0.1:1", api_key_env="NO_SUCH_KEY").problems()
    assert problem.key_path == ("api_key_env",)


CLAIMING = """
import sys, time
from chaos.targets.external.exclusive import Claim
claim = Claim(sys.argv[1], "first-1")
claim.take()
print("taken", flush=True)
time.sleep(60)
"""


def test_a_second_run_on_a_service_is_refused_and_the_kernel_lets_go_of_a_killed_one() -> None:
    claim = Claim("http://127.0.0.1:8000/v1", "second-2")
    with subprocess.Popen(
        [sys.executable, "-c", CLAIMING, "http://localhost:8000"], stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"taken\n"
        with pytest.raises(RefusedError, match=rf"run first-1 \(pid {first.pid}\) is on http://127"):
            claim.take()
        other = Claim("http://127.0.0.1:8001", "third-3")
        other.take()
        other.let_go()
        first.kill()
    for again in (claim, Claim("http://127.0.0.1:8000", "fourth-4")):
        again.take()
        again.let_go()
        again.let_go()
