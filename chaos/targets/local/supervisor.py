"""The process that owns a local cluster, and ends it when the runner stops, dies, or falls silent.

`python -m chaos.targets.local.supervisor` reads JSON lines from its standard input (see `wire`). The first is
`{"op": "start", "spec": ...}`; then `heartbeat`, which keeps the lease; `describe`; `cause {occurrence, effect, fields,
uids}`, which answers `{at_s}`, and `undo {occurrence}`; `network`, which tells what the proxy counted; and `stop`.
It writes answers, `{"event": ...}` for each event
as it happens, and at the very end `{"ended": why}`. Standard input's end, a lapsed lease and SIGTERM, SIGINT
or SIGHUP end it like `stop`.
"""

import asyncio
import os
import resource
import signal
import sys
import traceback
from dataclasses import asdict

from chaos.errors import AftershockError
from chaos.events import Event
from chaos.targets.identity import RUN_ID, of_run
from chaos.targets.local.cluster import Cluster
from chaos.targets.local.means.enforcing import Enforcers
from chaos.targets.local.spec import LocalSpec
from chaos.targets.local.wire import Channel, Message, answer

STOPPED = "the runner asked for it"
_OPEN_FILES = 10_240  # macOS allows a process no more
_TICKS = 20
"""Into which a lease is divided."""


class Lease:
    """The runner's lease on the cluster: it lapses after `lasts_s` of silence, and then everything ends."""

    def __init__(self, lasts_s: float) -> None:
        self._tick_s = lasts_s / _TICKS
        self._silent_ticks = 0

    def renew(self) -> None:
        """The runner was heard."""
        self._silent_ticks = 0

    async def lapse(self) -> None:
        """Return once the runner was silent for the whole lease.

        Silence is counted in ticks that this process lived through: after the whole machine was suspended, a
        heartbeat that waits in the pipe is read before the lease can lapse.
        """
        while self._silent_ticks < _TICKS:
            await asyncio.sleep(self._tick_s)
            self._silent_ticks += 1


class Supervisor:
    """One cluster and the reasons to end it."""

    def __init__(self, channel: Channel, spec: LocalSpec) -> None:
        self._channel = channel
        self._cluster = Cluster(spec, self._tell)
        self._enforcers = Enforcers(self._cluster)
        self._lease = Lease(spec.lease_s)
        self._lease_s = spec.lease_s
        self._why: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def supervise(self) -> None:
        """Keep the cluster until there is a reason to end it, then leave nothing of it."""
        living = asyncio.ensure_future(self._cluster.live())
        watches = [asyncio.ensure_future(self._listen()), asyncio.ensure_future(self._watch_lease())]
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._end, f"{number.name}")
        living.add_done_callback(lambda task: self._end(_cause(task)))
        try:
            why = await self._why
        finally:
            await self._cluster.end(living)
            for watch in watches:
                watch.cancel()
        self._channel.send({"ended": why})
        self._channel.close()

    def _end(self, why: str) -> None:
        if not self._why.done():
            print(f"ending: {why}", file=sys.stderr, flush=True)
            self._why.set_result(why)

    def _tell(self, event: Event) -> None:
        self._channel.send({"event": asdict(event)})

    async def _watch_lease(self) -> None:
        await self._lease.lapse()
        self._end(f"nothing was heard from the runner for {self._lease_s:g} s")

    async def _listen(self) -> None:
        try:
            await answer(
                self._channel,
                {
                    "heartbeat": self._heartbeat,
                    "describe": self._describe,
                    "cause": self._cause,
                    "undo": self._undo,
                    "network": self._network,
                    "stop": self._stop,
                },
            )
        finally:
            self._end("the runner is gone")

    async def _heartbeat(self, _: Message) -> Message:
        self._lease.renew()
        return {}

    async def _describe(self, _: Message) -> Message:
        return self._cluster.describe()

    async def _cause(self, message: Message) -> Message:
        asked = {key: message[key] for key in ("occurrence", "fields", "uids")}
        return {"at_s": await self._enforcers.cause(name=message["effect"], **asked)}

    async def _undo(self, message: Message) -> Message:
        await self._enforcers.undo(message["occurrence"])
        return {}

    async def _network(self, _: Message) -> Message:
        return await self._cluster.order_proxy("counters")

    async def _stop(self, _: Message) -> Message:
        self._end(STOPPED)
        return {}


def _cause(task: asyncio.Task[None]) -> str:
    error = None if task.cancelled() else task.exception()
    if error is None:
        return "the cluster ended"
    traceback.print_exception(error)  # into the supervisor's log
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{error}" if isinstance(error, AftershockError) else f"{type(error).__name__}: {error}"


def _allow_many_connections() -> None:
    # A stream takes two descriptors in the proxy and two in the gateway; soft limits begin at 256 (macOS). The
    # children inherit this one.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _main() -> None:
    channel = await Channel.of_stdio()
    first = await channel.receive()
    if first is not None:
        await Supervisor(channel, LocalSpec.from_wire(first["spec"])).supervise()


def main() -> None:
    """Supervise one cluster; whatever goes wrong, no process of the run outlives this one."""
    _allow_many_connections()
    try:
        asyncio.run(_main())
    finally:
        for process in of_run(os.environ[RUN_ID]):
            process.kill()


if __name__ == "__main__":
    main()
