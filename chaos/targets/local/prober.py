"""The prober of a run: asks every replica as a client would, beside the load, and exports what it was answered.

`python -m chaos.targets.local.prober` takes its orders as JSON lines (see `wire`): `listen {prober, wanted,
observer_key}` is the first, and answers `{metrics_port}`. It has a `ProberSpec`, how many replicas there should be, and
the key by which a reference server knows an observer, whom it leaves out of its counts. `replicas {replicas: [{name,
port, ready}]}` replaces what it knows of them. It asks those that are ready, and each at once when it becomes ready;
while none is, those that were. Its way to them is the gateway's, through the proxy: a fault of the network that the
gateway has, it has too.
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

from chaos.targets.local.means.door import KEY_HEADER
from chaos.targets.local.ports import HOST
from chaos.targets.local.spec import ProberSpec
from chaos.targets.local.wire import Channel, Message, answer
from exporters.collectors import CollectorSet
from exporters.exposition import serve as serve_metrics
from exporters.probe import MAX_TARGETS, ProbeCollector, Prober, ProbeTarget
from exporters.registry import Registry
from loadtests.endpoint import Endpoint, first_model


class Probing:
    """Who is asked at the moment, and the counts of all that ever were."""

    def __init__(self, spec: ProberSpec, wanted: int, observer_key: str) -> None:
        self.probers: list[Prober] = []
        self._spec = spec
        self._every_s = spec.period_s(wanted)
        self._observer = {KEY_HEADER: observer_key} if observer_key else {}
        self._key = os.environ.get(spec.api_key_env, "") if spec.api_key_env else ""
        self._model = spec.model
        self._rows: Sequence[Message] = ()
        self._of: dict[str, Prober] = {}
        self._asked: dict[str, bool] = {}
        """Who is asked now, and whether it was ready when that began."""
        self._served: set[str] = set()
        """Who was ever ready."""

    async def replicas(self, message: Message) -> Message:
        """Take over what is known of the replicas."""
        self._rows = message["replicas"]
        self._served.update(row["name"] for row in self._rows if row["ready"])
        if self._model is not None:
            self._ask(self._model)
        return {}

    async def learn_model(self) -> None:
        """Ask those that are ready which model they serve, until one of them says so; at once where it is known."""
        told = ""
        while self._model is None:
            for row in [row for row in self._rows if row["ready"]]:
                endpoint = Endpoint.parse(_url(row), self._key)
                try:
                    self._model = await asyncio.to_thread(first_model, endpoint, self._spec.timeout_s)
                    break
                except ValueError as error:
                    if str(error) != told:
                        told = str(error)
                        print(f"nobody is probed yet: {told}", file=sys.stderr, flush=True)
            else:
                await asyncio.sleep(0.2 if not told else self._spec.every_s)
        self._ask(self._model)

    def _ask(self, model: str) -> None:
        ready = [row for row in self._rows if row["ready"]]
        rows = (ready or [row for row in self._rows if row["name"] in self._served])[:MAX_TARGETS]
        asked = {row["name"]: bool(row["ready"]) for row in rows}
        for name in self._asked.keys() - asked.keys():
            self._of[name].rest()
        for row in rows:
            was_ready = self._asked.get(row["name"])
            if was_ready is None or (row["ready"] and not was_ready):
                self._begin(row, model)
        self._asked = asked

    def _begin(self, row: Message, model: str) -> None:
        if known := self._of.get(row["name"]):
            known.begin()
            return
        target = ProbeTarget(
            _url(row), model, self._spec.timeout_s, self._key or None, row["name"], self._observer
        )
        self._of[row["name"]] = prober = Prober(target, every_s=self._every_s)
        self.probers.append(prober)


def _url(row: Mapping[str, object]) -> str:
    return f"http://{HOST}:{row['port']}"


async def _main() -> None:
    channel = await Channel.of_stdio()
    first = await channel.receive()
    if first is None:
        return
    probing = Probing(ProberSpec(**first["prober"]), first["wanted"], first["observer_key"])
    registry = Registry()
    CollectorSet(registry).add("probe", ProbeCollector(probing.probers))
    exposition = serve_metrics(registry, host=HOST, port=0)
    channel.send({"id": first["id"], "metrics_port": exposition.port})
    async with asyncio.TaskGroup() as tasks:
        learning = tasks.create_task(probing.learn_model())
        await answer(channel, {"replicas": probing.replicas})
        learning.cancel()


def main() -> None:
    """Probe until the other side is gone."""
    asyncio.run(_main())


if __name__ == "__main__":
    main()
