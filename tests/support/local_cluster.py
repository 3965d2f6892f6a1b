"""What the tests of the local target share: toy clusters, helper processes under orders, and plain HTTP."""

import http.client
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from chaos.targets import Replica
from chaos.targets.effects import Termination
from chaos.targets.local.ports import free_port
from chaos.targets.local.processes import command
from chaos.targets.local.spec import LIVENESS, READINESS, LocalSpec, ProbeSpec
from chaos.targets.local.target import LocalTarget
from tests.conftest import wait_until

TOY = Path(__file__).with_name("toy_replica.py")
COMMAND = ("python", str(TOY), "--port", "{port}", "--metrics-port", "{metrics_port}", "--name", "{name}")


def probe(of: ProbeSpec, **changes: Any) -> ProbeSpec:
    return ProbeSpec(**{**{name: getattr(of, name) for name in ProbeSpec.__slots__}, **changes})


def toy_spec(folder: Path, replicas: int, *flags: str, **changes: Any) -> LocalSpec:
    """A cluster of toys that is quick in everything: probes every 50 ms, no Prometheus unless asked for."""
    quick: dict[str, Any] = {
        "readiness": probe(READINESS, period_s=0.05),
        "liveness": probe(LIVENESS, period_s=0.05, timeout_s=0.2, failure_threshold=2),
        "prometheus": False,
        "ready_within_s": 20.0,
        "command": (*COMMAND, *flags),
    }
    return LocalSpec(
        run_id=f"test-{uuid.uuid4()}",
        run_folder=folder,
        replicas=replicas,
        **{**quick, **changes},
    )


def terminate(target: LocalTarget, victims: Sequence[Replica], grace_s: int = 0) -> str:
    """Delete these replicas as a fault does; the id of the occurrence, to verify it by."""
    occurrence = f"kill#{uuid.uuid4()}"
    target.aim(occurrence, [Termination(grace_s)], victims)
    target.inject(occurrence, victims)
    return occurrence


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request(port: int, method: str, path: str, body: Any = None) -> Answer:
    """One whole exchange over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())
    finally:
        connection.close()


def complete(port: int, *, tokens: int = 3, stream: bool = True) -> Answer:
    return request(port, "POST", "/v1/completions", {"stream": stream, "max_tokens": tokens})


def tell(port: int, **behaviour: Any) -> dict[str, Any]:
    """Change a toy's behaviour; its pid and environment in return."""
    return cast("dict[str, Any]", request(port, "POST", "/toy", behaviour).json())


def samples(port: int) -> dict[str, float]:
    """Every sample of an exposition, by name and labels as they are written there."""
    lines = request(port, "GET", "/metrics").body.decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in pairs}


def total(port: int, prefix: str, *having: str) -> float:
    """The sum of the samples whose name starts with `prefix` and that have every one of `having` in them."""
    return sum(
        value
        for name, value in samples(port).items()
        if name.startswith(prefix) and all(part in name for part in having)
    )


class Helper:
    """A proxy or a gateway under the test's orders."""

    def __init__(self, module: str) -> None:
        self.process = subprocess.Popen(command(module), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"id": 1, "op": op, **fields}).encode() + b"\n")
        self.process.stdin.flush()
        return cast("dict[str, Any]", json.loads(self.process.stdout.readline()))

    def close(self) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(10)


@contextmanager
def helper(module: str) -> Iterator[Helper]:
    started = Helper(module)
    try:
        yield started
    finally:
        started.close()


@dataclass(frozen=True)
class Toy:
    port: int
    metrics_port: int
    process: "subprocess.Popen[bytes]"

    @property
    def accepted(self) -> int:
        return int(total(self.metrics_port, "toy_requests_total", '"accepted"'))


def _toy(*flags: str) -> Toy:
    """One that answers, on ports that nobody else took in the meantime."""
    while True:
        port, metrics_port = free_port(()), free_port(())
        places = ("--port", str(port), "--metrics-port", str(metrics_port))
        toy = Toy(port, metrics_port, subprocess.Popen([sys.executable, str(TOY), *places, *flags]))
        said = partial(answers, metrics_port)
        wait_until(lambda: said() or toy.process.poll() is not None, within_s=30, what="a toy's answer")  # noqa: B023
        if toy.process.poll() is None:
            return toy


@contextmanager
def toys(count: int, *flags: str) -> Iterator[list[Toy]]:
    """Toy replicas without a cluster around them."""
    started: list[Toy] = []
    try:
        started += [_toy(*flags) for _ in range(count)]
        yield started
    finally:
        for toy in started:
            toy.process.kill()
            toy.process.wait()


def answers(port: int) -> bool:
    try:
        return request(port, "GET", "/healthz").status == 200
    except OSError:
        return False


def gateway_port(target: LocalTarget) -> int:
    port = urlsplit(target.endpoints().url).port
    assert port is not None
    return port


def gateway_total(target: LocalTarget, family: str, *having: str) -> float:
    """The sum over one of the gateway's families, as it is now."""
    port = urlsplit(target.endpoints().gateway_metrics_url or "").port
    assert port is not None
    return total(port, f"ds_gateway_{family}", *having)


def last(target: LocalTarget, replica: str) -> Mapping[str, Any]:
    """What the newest event of a replica's process says: pid, port, metrics_port."""
    starts = [
        event.detail
        for event in target.events()
        if event.replica == replica and event.kind in ("replica_running", "replica_restarted")
    ]
    return starts[-1]


def kinds(target: LocalTarget, replica: str) -> list[str]:
    return [event.kind for event in target.events() if event.replica == replica]


def all_ready(target: LocalTarget) -> bool:
    replicas = target.replicas()
    return sum(replica.ready for replica in replicas) == len(replicas) == target.wanted_replicas


def named(target: LocalTarget, name: str) -> Replica | None:
    return next((replica for replica in target.replicas() if replica.name == name), None)
