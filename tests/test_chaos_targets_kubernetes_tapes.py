"""Faults as a live cluster had them, played from tape to the target: injected, proved, recovered, nothing left."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("kubernetes")

from chaos.events import EventKind
from chaos.faults.kinds import read_fault
from chaos.reading.documents import dump, read_document
from chaos.targets.kubernetes.settings import Settings
from chaos.targets.kubernetes.target import KubernetesTarget
from chaos.targets.kubernetes.undoing.lost_objects import Whereabouts
from chaos.targets.options import Opening
from tests.conftest import Eventually
from tests.support.fake_kubernetes import NAMESPACE, FakeKubernetes
from tests.support.kubernetes_store import Key, Resource
from tests.support.kubernetes_tape import Tape

SPEED = 3.0
"""Slow enough for a look every tenth of a second to see what was in force for seconds."""
SEEN_IN_PODS = {
    "pod-kill-30": "uid {uid} ",
    "pod-kill-grace": "uid {uid} has a deletionTimestamp",
    "pod-kill-statefulset": "uid {uid} ",
    "container-kill": "exit code 137",
    "pod-failure": "pause",
}
LASTING = ("pod-failure", "partition", "partition-from", "bandwidth", "stress")


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKubernetes]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with FakeKubernetes(tmp_path) as fake:
        allowed = {"metadata": {"annotations": {"aftershock.dev/allowed": "true"}}}
        fake.store.patch(Key(Resource("", "v1", "namespaces"), "", NAMESPACE), allowed)
        yield fake


def target(api: FakeKubernetes, tape: Tape) -> KubernetesTarget:
    folder = api.folder / "run"
    (folder / "logs").mkdir(parents=True)
    settings = Settings(
        where=Whereabouts(NAMESPACE, None, str(api.kubeconfig)),
        selector=tape.body["spec"]["selector"]["labelSelectors"],
        replicas=len(tape.victims),
        url="http://127.0.0.1:9",
        inject_within_s=20.0,
        ready_within_s=20.0,
    )
    return KubernetesTarget(settings, Opening("a tape", folder, seed=1))


@pytest.mark.parametrize("name", dict.fromkeys((*SEEN_IN_PODS, *LASTING)))
def test_what_a_live_cluster_did_is_injected_and_its_end_is_seen(
    api: FakeKubernetes, name: str, eventually: Eventually
) -> None:
    tape = Tape(name)
    tape.begin(api)
    path = api.folder / "fault.yaml"
    path.write_text(dump(tape.body))
    fault = read_fault(read_document(path))
    plural = tape.resource.plural
    with tape.playing(api, speed=SPEED), target(api, tape) as entered:
        victims = [one for one in entered.replicas() if one.name in tape.victims]
        assert victims
        entered.aim("taped#1", fault.effects, victims, fault.manifest)
        entered.inject("taped#1", victims)
        evidence = entered.verify("taped#1", within_s=20 if name in SEEN_IN_PODS else 0)
        assert all("Chaos Mesh said so after" in one.how for one in evidence)
        if name in SEEN_IN_PODS:
            assert [one.verified for one in evidence] == [True] * len(victims), evidence
            said = [SEEN_IN_PODS[name].format(uid=victim.uid) for victim in victims]
            assert all(words in one.how for words, one in zip(said, evidence, strict=True))
        entered.recover("taped#1")
        if name in LASTING:
            assert api.names(plural) == []
        eventually(lambda: api.names(plural) == [], within_s=20)
        kinds = {event.kind for event in entered.events()}
        assert (EventKind.REPLICA_KILLED in kinds) == name.startswith("pod-kill")
