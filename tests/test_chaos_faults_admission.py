"""What an API server with Chaos Mesh takes we take, with the same defaults, and what it refuses we refuse."""

import json
from pathlib import Path
from typing import Any

import pytest

from chaos.errors import InputError
from chaos.faults.objects import read_manifest
from chaos.faults.occurrence import Planned
from tests.support.given_data import ABSENT
from tests.support.kubernetes_answers import Answer, answers, differences, files

ANSWERS = [*answers()]
FILES = [*files()]
DIFFERENT: dict[str, str] = {}
"""Cases and files that are judged otherwise here on purpose, each with its reason."""

APP: dict[str, Any] = {"namespaces": ["inference"], "labelSelectors": {"app": "server"}}
WHO: dict[str, Any] = {"mode": "all", "selector": APP}
POD = {"action": "pod-kill", **WHO}
CHECK = {"http": {"url": "http://server/readyz", "criteria": {"statusCode": "200"}}}
PAUSE = {"name": "a", "templateType": "Suspend", "deadline": "1s"}


def read(folder: Path, kind: str, spec: Any, **metadata: Any) -> Planned:
    path = folder / "manifest.json"
    manifest = {
        "apiVersion": "chaos-mesh.org/v1alpha1",
        "kind": kind,
        "metadata": {"name": "x", "namespace": "inference", **metadata},
        "spec": spec,
    }
    path.write_text(json.dumps(manifest, indent="\t"))
    return read_manifest(path)[0]


def judged(path: Path) -> tuple[Planned, ...] | InputError:
    """What a file holds, or why it is refused."""
    try:
        return read_manifest(path)
    except InputError as error:
        return error


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.case)
def test_a_manifest_is_judged_as_an_api_server_judged_it(answer: Answer, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(answer.manifest, indent=1))
    found = judged(path)
    if isinstance(found, InputError):
        assert not answer.taken or answer.case in DIFFERENT, str(found)
        assert str(found).startswith(f"{path}:")
        assert ": expected" in str(found) or ": unknown key" in str(found)
        return
    assert answer.taken or answer.case in DIFFERENT
    assert [*differences(answer.spec, found[0].spec)] == []


@pytest.mark.parametrize("file", FILES or [None], ids=lambda file: file[0].name if file else "absent")
def test_a_file_of_chaos_mesh_is_judged_as_an_api_server_judged_it(
    file: tuple[Path, list[bool]] | None,
) -> None:
    if file is None:
        pytest.skip(ABSENT)
    path, taken = file
    found = judged(path)
    if isinstance(found, InputError):
        assert not all(taken) or path.name in DIFFERENT, str(found)
        return
    assert len(found) == len(taken)
    assert all(taken) or path.name in DIFFERENT


def test_no_difference_is_on_the_list_that_there_is_none_of() -> None:
    assert DIFFERENT.keys() <= {answer.case for answer in ANSWERS} | {path.name for path, _ in FILES}


TAKEN: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "a kill": ("PodChaos", POD, []),
    "no selector at all": ("PodChaos", {"action": "pod-kill", "mode": "one"}, ["whole-namespace"]),
    "a selector with namespaces alone": (
        "PodChaos",
        {**POD, "selector": {"namespaces": ["inference"]}},
        ["whole-namespace"],
    ),
    "the cluster's own namespace": (
        "PodChaos",
        {**POD, "selector": {**APP, "namespaces": ["kube-system"]}},
        ["system-namespace"],
    ),
    "a namespace that none can be": (
        "PodChaos",
        {**POD, "selector": {**APP, "namespaces": ["*"]}},
        ["impossible-name"],
    ),
    "a value that the mode ignores": ("PodChaos", {**POD, "value": "2"}, ["value-ignored"]),
    "a label that none can be": (
        "PodChaos",
        {**POD, "selector": {"labelSelectors": {"app": "not ok!"}}},
        ["impossible-label"],
    ),
    "an operator that there is none of": (
        "PodChaos",
        {**POD, "selector": {"expressionSelectors": [{"key": "app", "operator": "Like"}]}},
        ["unknown-operator"],
    ),
    "In without values": (
        "PodChaos",
        {**POD, "selector": {"expressionSelectors": [{"key": "app", "operator": "In"}]}},
        ["no-values"],
    ),
    "Exists with values": (
        "PodChaos",
        {**POD, "selector": {"expressionSelectors": [{"key": "a", "operator": "Exists", "values": ["b"]}]}},
        ["needless-values"],
    ),
    "a phase that there is none of": (
        "PodChaos",
        {**POD, "selector": {"podPhaseSelectors": ["Alive"]}},
        ["unknown-phase"],
    ),
    "a field that none can be selected by": (
        "PodChaos",
        {**POD, "selector": {"fieldSelectors": {"spec.hostname": "a"}}},
        ["unknown-field"],
    ),
    "a failure for ever": ("PodChaos", {**POD, "action": "pod-failure"}, ["no-end"]),
    "a failure with an empty duration": (
        "PodChaos",
        {**POD, "action": "pod-failure", "duration": ""},
        ["no-end"],
    ),
    "a failure that is over before it begins": (
        "PodChaos",
        {**POD, "action": "pod-failure", "duration": "-5s"},
        ["over-at-once"],
    ),
    "a kill that ignores its duration": ("PodChaos", {**POD, "duration": "-5s"}, []),
    "a container to kill": ("PodChaos", {**POD, "action": "container-kill", "containerNames": ["a"]}, []),
    "half a processor": (
        "StressChaos",
        {**WHO, "duration": "1s", "stressors": {"cpu": {"workers": 1, "load": 50}}},
        [],
    ),
    "stress without a worker": (
        "StressChaos",
        {**WHO, "duration": "1s", "stressors": {"cpu": {"workers": 0}}},
        ["no-workers"],
    ),
    "all the memory": (
        "StressChaos",
        {**WHO, "duration": "1s", "stressors": {"memory": {"workers": 1}}},
        ["all-memory"],
    ),
    "a stressor that the kernel spares": (
        "StressChaos",
        {**WHO, "duration": "1s", "stressors": {"memory": {"workers": 1, "size": "50%", "oomScoreAdj": -1}}},
        ["spared-stressor"],
    ),
    "stress-ng in its own words": (
        "StressChaos",
        {**WHO, "duration": "1s", "stressngStressors": "--cpu 1"},
        [],
    ),
    "requests that are ended": (
        "HTTPChaos",
        {**WHO, "duration": "1s", "target": "Request", "port": 80, "method": "GET", "abort": True},
        [],
    ),
    "any method of an answer": (
        "HTTPChaos",
        {**WHO, "duration": "1s", "target": "Response", "port": 80, "method": "BREW", "delay": "1s"},
        [],
    ),
    "requests to which nothing is done": (
        "HTTPChaos",
        {**WHO, "duration": "1s", "target": "Request", "port": 80},
        ["nothing-to-do"],
    ),
    "a port that none can be": (
        "HTTPChaos",
        {**WHO, "duration": "1s", "target": "Request", "port": 70000, "abort": True},
        ["impossible-port"],
    ),
    "slow files": (
        "IOChaos",
        {**WHO, "duration": "1s", "action": "latency", "volumePath": "/data", "delay": "1ms"},
        [],
    ),
    "slow files nowhere, by nothing": (
        "IOChaos",
        {**WHO, "duration": "1s", "action": "latency"},
        ["no-volume", "missing-block"],
    ),
    "a clock that is late": ("TimeChaos", {**WHO, "duration": "1s", "timeOffset": "-10m"}, []),
    "a clock that there is none of": (
        "TimeChaos",
        {**WHO, "duration": "1s", "timeOffset": "1s", "clockIds": ["CLOCK_MOON"]},
        ["unknown-clock"],
    ),
    "a clock for a time that cannot be read": (
        "TimeChaos",
        {**WHO, "duration": "1d", "timeOffset": "1s"},
        ["unreadable-duration"],
    ),
    "names": ("DNSChaos", {**WHO, "duration": "1s", "action": "error", "patterns": ["a.?.*"]}, []),
    "names with a star in the middle": (
        "DNSChaos",
        {**WHO, "duration": "1s", "action": "error", "patterns": ["a*b"]},
        ["impossible-pattern"],
    ),
    "the kernel": ("KernelChaos", {**WHO, "duration": "1s", "failKernRequest": {"failtype": 2}}, []),
    "a slow disk": (
        "BlockChaos",
        {**WHO, "duration": "1s", "action": "delay", "volumeName": "v", "delay": {"latency": "1s"}},
        [],
    ),
    "a method that throws": (
        "JVMChaos",
        {**WHO, "duration": "1s", "action": "exception", "class": "A", "method": "b", "exception": "E"},
        [],
    ),
    "a machine of a cloud": (
        "AWSChaos",
        {"action": "ec2-stop", "awsRegion": "eu", "ec2Instance": "i", "duration": "1s"},
        [],
    ),
    "a check": ("StatusCheck", CHECK, []),
    "a check for a status that none can have": (
        "StatusCheck",
        {"http": {"url": "/readyz", "criteria": {"statusCode": "400-200"}}},
        ["impossible-status"],
    ),
    "a schedule": ("Schedule", {"schedule": "@every 1m", "type": "PodChaos", "podChaos": POD}, []),
    "a schedule of doubts": (
        "Schedule",
        {"schedule": "*/5 * * * * ?", "type": "PodChaos", "podChaos": {**POD, "selector": {}}},
        ["whole-namespace"],
    ),
    "a pause": ("Workflow", {"entry": "a", "templates": [PAUSE]}, []),
    "a workflow that is made of itself": (
        "Workflow",
        {"entry": "a", "templates": [{"name": "a", "templateType": "Serial", "children": ["a"]}]},
        ["endless"],
    ),
    "a task without a task": (
        "Workflow",
        {"entry": "a", "templates": [{"name": "a", "templateType": "Task"}]},
        ["missing-block"],
    ),
    "a deadline that cannot be read": (
        "Workflow",
        {"entry": "a", "templates": [{**PAUSE, "deadline": "soon"}]},
        ["unreadable-deadline"],
    ),
    "a fault in a workflow without an end": (
        "Workflow",
        {
            "entry": "a",
            "templates": [
                {"name": "a", "templateType": "PodChaos", "podChaos": {**POD, "action": "pod-failure"}}
            ],
        },
        ["no-end"],
    ),
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_nobody_can_have_meant_is_taken_and_doubted_by_name(case: str, tmp_path: Path) -> None:
    kind, spec, doubts = TAKEN[case]
    assert [doubt.name for doubt in read(tmp_path, kind, spec).doubts] == doubts


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "no mode": ("PodChaos", {"action": "pod-kill", "selector": APP}, "spec.mode"),
    "a container to kill without a name": (
        "PodChaos",
        {**POD, "action": "container-kill"},
        "spec.containerNames",
    ),
    "a duration in days": ("PodChaos", {**POD, "duration": "1d"}, "spec.duration"),
    "a number as a duration": ("PodChaos", {**POD, "duration": 30}, "spec.duration"),
    "what 1.x had": ("PodChaos", {**POD, "scheduler": {"cron": "@every 1m"}}, "spec.scheduler"),
    "nothing to stress": ("StressChaos", WHO, "spec.stressors"),
    "nothing to stress in an empty block": ("StressChaos", {**WHO, "stressors": {}}, "spec.stressors"),
    "too busy": ("StressChaos", {**WHO, "stressors": {"cpu": {"workers": 1, "load": 101}}}, "cpu.load"),
    "more than all": ("StressChaos", {**WHO, "stressors": {"memory": {"size": "101%"}}}, "memory.size"),
    "a size of nothing": ("StressChaos", {**WHO, "stressors": {"memory": {"size": "much"}}}, "memory.size"),
    "no port": ("HTTPChaos", {**WHO, "target": "Request", "abort": True}, "spec.port"),
    "a method that there is none of": (
        "HTTPChaos",
        {**WHO, "target": "Request", "port": 80, "method": "BREW"},
        "spec.method",
    ),
    "a body that is not base64": (
        "HTTPChaos",
        {**WHO, "target": "Request", "port": 80, "replace": {"body": "?"}},
        "spec.replace.body",
    ),
    "an error without a number": (
        "IOChaos",
        {**WHO, "action": "fault", "volumePath": "/data"},
        "spec.errno",
    ),
    "more than every call": ("IOChaos", {**WHO, "action": "latency", "percent": 101}, "spec.percent"),
    "an offset that cannot be read": ("TimeChaos", {**WHO, "timeOffset": "10 minutes"}, "spec.timeOffset"),
    "a kernel that fails otherwise": (
        "KernelChaos",
        {**WHO, "failKernRequest": {"failtype": 3}},
        "spec.failKernRequest.failtype",
    ),
    "a disk that is slow by nothing": ("BlockChaos", {**WHO, "action": "delay"}, "spec.delay"),
    "a method without a class": (
        "JVMChaos",
        {**WHO, "action": "latency", "method": "b", "latency": 5},
        "spec.class",
    ),
    "a volume without an id": ("AWSChaos", {"action": "detach-volume", "deviceName": "d"}, "spec.volumeID"),
    "a disk without a number": ("AzureChaos", {"action": "disk-detach", "diskName": "d"}, "spec.lun"),
    "disks without names": ("GCPChaos", {"action": "disk-loss"}, "spec.deviceNames"),
    "a machine from nowhere": (
        "PhysicalMachineChaos",
        {"mode": "one", "action": "clock", "clock": {}},
        "spec.address",
    ),
    "a machine without its block": (
        "PhysicalMachineChaos",
        {"mode": "one", "action": "clock", "address": ["10.0.0.1"]},
        "spec.clock",
    ),
    "a check of nothing": ("StatusCheck", {"type": "HTTP"}, "spec.http"),
    "a check of no URL": (
        "StatusCheck",
        {"http": {"url": "::", "criteria": {"statusCode": "200"}}},
        "spec.http.url",
    ),
    "a check of no status": (
        "StatusCheck",
        {"http": {"url": "/", "criteria": {"statusCode": "2xx"}}},
        "spec.http.criteria.statusCode",
    ),
    "a schedule of nothing": ("Schedule", {"schedule": "@every 1m", "type": "PodChaos"}, "spec.podChaos"),
    "a schedule in words": (
        "Schedule",
        {"schedule": "every minute", "type": "PodChaos", "podChaos": POD},
        "spec.schedule",
    ),
    "a schedule of what is wrong": (
        "Schedule",
        {"schedule": "@hourly", "type": "PodChaos", "podChaos": {**POD, "mode": "fixed"}},
        "spec.podChaos.value",
    ),
    "a pause without an end": (
        "Workflow",
        {"entry": "a", "templates": [{"name": "a", "templateType": "Suspend"}]},
        "spec.templates[0].deadline",
    ),
    "an entry that there is none of": ("Workflow", {"entry": "b", "templates": [PAUSE]}, "spec.entry"),
    "two of one name": ("Workflow", {"entry": "a", "templates": [PAUSE, PAUSE]}, "spec.templates[1].name"),
    "no templates": ("Workflow", {"entry": "a", "templates": []}, "spec.templates"),
    "a pause that kills": (
        "Workflow",
        {"entry": "a", "templates": [{**PAUSE, "podChaos": POD}]},
        "spec.templates[0].podChaos",
    ),
    "a child that there is none of": (
        "Workflow",
        {"entry": "a", "templates": [{"name": "a", "templateType": "Parallel", "children": ["b"]}]},
        "spec.templates[0].children[0]",
    ),
    "a duration inside of a workflow": (
        "Workflow",
        {
            "entry": "a",
            "templates": [{"name": "a", "templateType": "PodChaos", "podChaos": {**POD, "duration": "1s"}}],
        },
        "spec.templates[0].podChaos.duration",
    ),
    "what is wrong, deep inside": (
        "Workflow",
        {
            "entry": "a",
            "templates": [
                {
                    "name": "a",
                    "templateType": "Schedule",
                    "schedule": {
                        "schedule": "@hourly",
                        "concurrencyPolicy": "Allow",
                        "type": "PodChaos",
                        "podChaos": {**POD, "gracePeriod": -1},
                    },
                }
            ],
        },
        "spec.templates[0].schedule.podChaos.gracePeriod",
    ),
    "a schedule inside that leaves its policy to be filled in": (
        "Workflow",
        {
            "entry": "a",
            "templates": [
                {
                    "name": "a",
                    "templateType": "Schedule",
                    "schedule": {"schedule": "@hourly", "type": "PodChaos", "podChaos": POD},
                }
            ],
        },
        "spec.templates[0].schedule.concurrencyPolicy",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_an_api_server_refuses_is_refused_by_key_path(case: str, tmp_path: Path) -> None:
    kind, spec, where = REFUSED[case]
    with pytest.raises(InputError) as caught:
        read(tmp_path, kind, spec)
    assert f"{where}: expected" in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'manifest.json'}:")
    assert int(str(caught.value).split(":")[1]) >= 1


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        *(("http://server/readyz", True), ("/readyz", True), ("https://[::1]:8443/a?b=%zz", True)),
        *(("http://server:99999/", True), ("http://", True), ("mailto:x", True), ("/a b", True)),
        *(("", False), ("::", False), ("server/readyz", False), ("1http://server", False)),
        *(("http://server:http/", False), ("http://a b/", False), ("/%zz", False), ("/a\tb", False)),
    ],
)
def test_a_url_is_what_gos_parser_takes(tmp_path: Path, url: str, taken: bool) -> None:
    spec = {"http": {"url": url, "criteria": {"statusCode": "200"}}}
    path = tmp_path / "manifest.json"
    path.write_text(
        json.dumps(
            {
                "apiVersion": "chaos-mesh.org/v1alpha1",
                "kind": "StatusCheck",
                "metadata": {"name": "x"},
                "spec": spec,
            }
        )
    )
    assert isinstance(judged(path), tuple) is taken


def test_a_line_is_named_where_the_value_stands_however_deep(tmp_path: Path) -> None:
    kind, spec, where = REFUSED["what is wrong, deep inside"]
    with pytest.raises(InputError) as caught:
        read(tmp_path, kind, spec)
    line = int(str(caught.value).split(":")[1])
    assert "gracePeriod" in (tmp_path / "manifest.json").read_text().splitlines()[line - 1]
    assert where in str(caught.value)


def test_a_name_that_a_cluster_would_complete_is_one(tmp_path: Path) -> None:
    assert read(tmp_path, "PodChaos", POD, name=None, generateName="kill-").name == "kill"
    with pytest.raises(InputError, match=r"metadata\.name: expected this key"):
        read(tmp_path, "PodChaos", POD, name=None)
    with pytest.raises(InputError, match="at most 253 lower-case letters"):
        read(tmp_path, "PodChaos", POD, name="a" * 254)
