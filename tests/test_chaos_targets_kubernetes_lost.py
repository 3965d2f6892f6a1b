"""What a run left on a cluster is found and undone, by the reaper and by `aftershock recover`, and nobody else's is."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes")

from chaos.cli import main
from chaos.errors import CleanupError, ExitCode
from chaos.targets.identity import ProcessId
from chaos.targets.kubernetes import marks
from chaos.targets.kubernetes.calls import Calls
from chaos.targets.kubernetes.rights import REAPER, RUNNER, Right, rules
from chaos.targets.kubernetes.undoing import lost_objects
from chaos.targets.kubernetes.undoing.lease import Lease
from chaos.targets.kubernetes.undoing.lost_objects import Record, Whereabouts, find, find_in
from chaos.targets.kubernetes.undoing.patience import Patience
from chaos.targets.kubernetes.undoing.reaper import Reaper
from tests.conftest import wait_until
from tests.support.chaos_mesh import ChaosMesh
from tests.support.fake_kubernetes import NAMESPACE, FakeKubernetes
from tests.support.kubernetes_store import Object
from tests.support.stored_objects import StoredObjects

OWNER = [
    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "server", "uid": "of-it", "controller": True}
]
KINDS = ("NetworkChaos", "StressChaos", "PodChaos")
CALM = Patience(recovers_s=60.0, frees_s=60.0, cleans_s=60.0, replaces_s=60.0)
"""For what must succeed, on however slow a machine."""
FORCING = Patience(recovers_s=0.5, frees_s=60.0, cleans_s=0.5, replaces_s=60.0)
"""For what needs the last resorts."""
HASTY = Patience(recovers_s=0.5, frees_s=2.0, cleans_s=2.0, replaces_s=2.0)
"""For what must fail."""
RUNNER_CODE = """
import sys, time
from pathlib import Path
from chaos.targets.kubernetes import marks
from chaos.targets.kubernetes.calls import Calls
from chaos.targets.kubernetes.undoing.lease import Lease
from chaos.targets.kubernetes.objects import chaos

calls = Calls.connect("fake", Path(sys.argv[1]))
with Lease(calls, "inference", "run-1"):
    body = {
        "apiVersion": "chaos-mesh.org/v1alpha1",
        "kind": "NetworkChaos",
        "metadata": {"name": "of-run-1", "labels": marks.labels("run-1")},
        "spec": {"action": "partition", "mode": "all", "selector": {"pods": {"inference": ["server-0"]}}},
    }
    calls.create(chaos("networkchaos", "inference"), body, within_s=10)
    print("created", flush=True)
    time.sleep(600)
"""


@dataclass
class Live:
    """A fake cluster that answers on a socket."""

    api: FakeKubernetes
    mesh: ChaosMesh

    @property
    def where(self) -> Whereabouts:
        return Whereabouts(NAMESPACE, "fake", str(self.api.kubeconfig))

    def fault(
        self,
        run: str,
        kind: str = "NetworkChaos",
        pod: str = "server-0",
        action: str = "partition",
        **spec: Any,
    ) -> Object:
        return self.api.add(
            {
                "apiVersion": "chaos-mesh.org/v1alpha1",
                "kind": kind,
                "metadata": {"name": f"{kind.lower()}-{run}", "labels": marks.labels(run)},
                "spec": {
                    "action": action,
                    "mode": "all",
                    "selector": {"pods": {NAMESPACE: [pod]}},
                    **spec,
                },
            }
        )

    def faults(self) -> list[str]:
        return [name for kind in KINDS for name in self.api.names(kind.lower())]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with FakeKubernetes(tmp_path) as api, ChaosMesh(api) as mesh:
        for name in ("server-0", "server-1"):
            api.add_pod(name, ownerReferences=OWNER)
        yield Live(api, mesh)


@pytest.fixture
def calls(live: Live) -> Iterator[Calls]:
    connected = Calls.connect("fake", live.api.kubeconfig)
    yield connected
    connected.close()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(lost_objects, "Patience", lambda: CALM)
    return tmp_path / "state"


def dead() -> str:
    """A process that has ended."""
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    ) as child:
        process = ProcessId.of(child.pid)
        child.communicate()
    return str(process)


@contextmanager
def reaping(
    live: Live, *options: str, env: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """The reaper as a process."""
    command = [sys.executable, "-m", "chaos.targets.kubernetes.undoing.reaper", "--every", "0.1"]
    where = ["--namespace", NAMESPACE, "--context", "fake", "--kubeconfig", str(live.api.kubeconfig)]
    with subprocess.Popen(
        [*command, *where, *options], stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_runner_that_is_killed_in_mid_fault_leaves_nothing_once_its_lease_has_lapsed(live: Live) -> None:
    code = [sys.executable, "-c", RUNNER_CODE, str(live.api.kubeconfig)]
    with (
        reaping(live, "--port", "0") as reaper,
        subprocess.Popen(code, stdout=subprocess.PIPE, text=True) as runner,
    ):
        assert runner.stdout is not None
        assert reaper.stdout is not None
        assert runner.stdout.readline() == "created\n"
        wait_until(lambda: live.mesh.in_force, within_s=30)
        wait_until(
            lambda: len([r for r in live.api.requests if r.resource.startswith("leases")]) > 20, within_s=60
        )
        assert live.faults() == ["of-run-1"]
        runner.kill()
        wait_until(lambda: not live.faults(), within_s=60)
        assert not live.mesh.in_force
        reaper.send_signal(signal.SIGTERM)
        log = reaper.stdout.read()
        assert reaper.wait(30) == 0
    assert len(re.findall("run run-1 does not hold the lease of inference", log)) >= 1
    assert "deleted NetworkChaos inference/of-run-1" in log


def test_a_reaper_outlives_an_api_server_that_fails_and_says_how_it_is(live: Live, free_port: int) -> None:
    with reaping(live, "--port", str(free_port)):
        health = f"http://127.0.0.1:{free_port}/healthz"
        wait_until(lambda: asked(health).get("rounds", 0) > 1, within_s=30)
        live.api.webhook_down = True
        live.api.failures.append(failing := failure(500))
        wait_until(lambda: "scripted" in asked(health).get("trouble", ""), within_s=30)
        assert asked(health.replace("healthz", "readyz")) == {}
        live.fault("run-9")
        live.api.failures.remove(failing)
        wait_until(lambda: not live.faults(), within_s=60)
        wait_until(lambda: asked(health.replace("healthz", "readyz")), within_s=30)
        assert asked(health.replace("healthz", "nowhere")) == {}
        rounds = asked(health)["rounds"]
        live.api.silence()
        live.fault("run-10")
        assert asked(health)["rounds"] <= rounds + 2
        live.api.speak()
        wait_until(lambda: not live.faults(), within_s=60)


def failure(status: int) -> Any:
    from tests.support.fake_kubernetes import Failure

    return Failure(status, times=float("inf"))


def asked(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return dict(json.load(answer))
    except OSError:
        return {}


def test_the_reaper_spares_whoever_holds_the_lease_and_what_is_not_ours(live: Live, calls: Calls) -> None:
    live.fault("run-1")
    live.fault("run-2", pod="server-1")
    theirs = live.fault("run-3", "StressChaos")
    key = live.api.key("stresschaos", theirs["metadata"]["name"])
    live.api.store.patch(key, {"metadata": {"labels": {marks.MANAGED_BY: "somebody"}}})
    reaper = Reaper(calls, NAMESPACE, patience=CALM)
    with Lease(calls, NAMESPACE, "run-1"):
        reaper.round()
        assert live.faults() == ["networkchaos-run-1", "stresschaos-run-3"]
    reaper.round()
    assert live.faults() == ["stresschaos-run-3"]
    assert reaper.trouble == ""


def test_an_object_that_came_after_the_lease_was_taken_is_never_reaped(tmp_path: Path) -> None:
    api = FakeKubernetes(tmp_path)
    cluster = StoredObjects(api, ChaosMesh(api))
    made: list[Object] = []
    lease = Lease(cluster, NAMESPACE, "run-1", clock=cluster.clock)

    def between(verb: str) -> None:  # the run begins just before the reaper reads the lease
        if verb == "get" and not made:
            made.append(api.add_pod("server-0"))
            lease.take()
            made.append(Live(api, cluster.mesh).fault("run-1"))

    cluster.mishap = between
    Reaper(cluster, NAMESPACE, cluster.clock, CALM).round()
    assert api.names("networkchaos") == ["networkchaos-run-1"]


def on_record(live: Live, run: str = "run-1", runner: str | None = None) -> Record:
    record = Record(run, runner or dead(), live.where)
    record.write()
    return record


def test_recover_undoes_what_a_lost_run_left_says_what_it_did_and_the_second_time_there_is_nothing(
    live: Live,
) -> None:
    record = on_record(live)
    for kind in KINDS:
        live.fault("run-1", kind)
    live.fault("run-2")
    (lost,) = find()
    assert lost.left.endswith("is gone; left in namespace inference of fake: 3 objects")
    assert sorted(lost.pieces) == sorted(f"{kind} inference/{kind.lower()}-run-1" for kind in KINDS)
    assert len(live.faults()) == 4
    done = lost.end()
    assert done[-1] == f"record {record.path}"
    assert all(": deleted " in line for line in done[:-1])
    assert live.faults() == ["networkchaos-run-2"]
    assert find() == []
    assert [*lost.end()] == []


def test_a_run_whose_runner_lives_is_not_lost(live: Live) -> None:
    own = ProcessId.of(os.getpid())
    on_record(live, runner=str(own))
    live.fault("run-1")
    assert find() == []


def test_a_lost_run_that_the_reaper_undid_leaves_its_record_alone_to_be_removed(live: Live) -> None:
    record = on_record(live)
    (lost,) = find()
    assert lost.pieces == (f"record {record.path}",)
    lost.end()
    assert not record.path.exists()


def test_a_finalizer_that_cannot_be_had_off_is_a_cleanup_error_and_the_record_stays(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_objects, "Patience", lambda: HASTY)
    record = on_record(live)
    live.fault("run-1")
    wait_until(lambda: live.mesh.in_force, within_s=30)
    live.mesh.controller_up = False
    wait_until(lambda: live.api.webhook_down, within_s=30)
    (lost,) = find()
    with pytest.raises(CleanupError, match=r"networkchaos-run-1 is still there.*by hand: kubectl"):
        lost.end()
    assert record.path.exists()
    live.mesh.controller_up = True
    wait_until(lambda: not live.faults(), within_s=30)
    lost.end()
    assert not record.path.exists()


def test_a_cluster_that_does_not_answer_is_said_and_its_run_stays_on_record(live: Live) -> None:
    record = on_record(live)
    live.api.failures.append(failure(503))
    (lost,) = find()
    assert "nobody can say what is left in namespace inference of fake: 503" in lost.left
    with pytest.raises(CleanupError, match="503"):
        lost.end()
    assert record.path.exists()


def test_a_run_is_looked_for_where_it_was_though_another_context_is_the_current_one_now(live: Live) -> None:
    here = Whereabouts(NAMESPACE, None, str(live.api.kubeconfig))
    Record("run-1", dead(), here).write()
    live.fault("run-1")
    text = live.api.kubeconfig.read_text()
    elsewhere = text.replace("current-context: fake", "current-context: elsewhere")
    live.api.kubeconfig.write_text(elsewhere)
    (lost,) = find()
    assert lost.left.endswith("left in namespace inference of fake: 1 object")
    lost.end()
    assert not live.faults()


def test_what_is_no_record_is_named(state: Path) -> None:
    path = state / "aftershock" / "kubernetes" / "broken.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(CleanupError, match=re.escape(str(path))):
        find()


def test_a_namespace_is_searched_for_runs_of_other_machines_and_the_living_one_is_spared(
    live: Live, calls: Calls
) -> None:
    live.fault("run-1")
    live.fault("run-2", pod="server-1")
    with Lease(calls, NAMESPACE, "run-1"):
        (lost,) = find_in(live.where)
        assert lost.run_id == "run-2"
        lost.end()
        assert live.faults() == ["networkchaos-run-1"]
    assert [run.run_id for run in find_in(live.where)] == ["run-1"]


def test_recover_is_told_a_namespace_and_says_what_it_undid_there(
    live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        lost_objects.Whereabouts, "connect", lambda _: Calls.connect("fake", live.api.kubeconfig)
    )
    live.fault("run-1")
    where = ["recover", "--namespace", NAMESPACE, "--context", "fake"]
    assert main([*where, "--dry-run"]) == ExitCode.PASSED
    assert "would end NetworkChaos inference/networkchaos-run-1" in capsys.readouterr().out
    assert live.faults()
    assert main(where) == ExitCode.PASSED
    assert "ended NetworkChaos inference/networkchaos-run-1: deleted" in capsys.readouterr().out
    assert not live.faults()
    live.fault("run-1")
    wait_until(lambda: live.mesh.in_force, within_s=30)
    live.mesh.controller_up = False
    monkeypatch.setattr(lost_objects, "Patience", lambda: HASTY)
    wait_until(lambda: live.api.webhook_down, within_s=30)
    assert main(where) == ExitCode.CLEANUP_INCOMPLETE
    assert "by hand: kubectl" in capsys.readouterr().err
    assert main(["recover", "--context", "fake"]) == ExitCode.WRONG_INPUT


def undone_with(live: Live, calls: Calls, patience: Patience) -> None:
    """Everything that a reaper may have to do: wait, free, clean, replace."""
    live.mesh.netem = live.mesh.tproxy = False
    for pod, kind in (("server-0", "NetworkChaos"), ("server-1", "StressChaos"), ("server-1", "PodChaos")):
        live.fault("run-1", kind, pod, action="delay" if kind == "NetworkChaos" else "pod-failure")
    live.fault("run-1", "HTTPChaos", "server-0", target="Request", port=8000, abort=True)
    gathered = ("podnetworkchaos", "podhttpchaos")
    wait_until(lambda: len(live.mesh.in_force) == 2 and all(map(live.api.names, gathered)), within_s=30)
    live.mesh.daemon_up = False
    live.mesh.finalizer_sticks = True
    reaper = Reaper(calls, NAMESPACE, patience=patience)
    reaper.round()
    assert reaper.trouble == ""
    assert not live.faults()


def test_the_reaper_needs_every_right_that_it_has_and_no_other(live: Live, calls: Calls) -> None:
    live.api.rights = granted(REAPER)
    undone_with(live, calls, FORCING)
    assert {(request.verb, request.resource) for request in live.api.requests} == granted(REAPER)


@pytest.mark.parametrize("missing", REAPER, ids=lambda right: f"{right.verb}-{right.resource}")
def test_without_one_of_its_rights_the_reaper_says_which(live: Live, calls: Calls, missing: Right) -> None:
    live.api.rights = granted(REAPER) - granted([missing])
    with pytest.raises(AssertionError, match=f"cannot {missing.verb} resource"):
        undone_with(live, calls, HASTY)


def granted(rights: Any) -> set[tuple[str, str]]:
    """As the fake API server asks for them."""
    return {(verb, f"{plural}.{group}" if group else plural) for group, plural, verb in rules(rights)}


def test_a_run_may_do_whatever_undoing_needs() -> None:
    assert rules(REAPER) < rules(RUNNER)
    assert all(right.needed_for for right in RUNNER)
