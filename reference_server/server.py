"""The life of one replica: listen, load, serve, drain when told to leave, end with an exit code.

The API listens before the model is loaded, so that probes are answered from the start.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from exporters.comm import CommMetrics
from exporters.gpu import DeviceSource, watch_gpus
from exporters.gpu_sources import Device
from exporters.inference import InferenceMetrics, serve
from exporters.nvml import NvmlDevices
from exporters.slo import OBJECTIVES, Objective
from reference_server.api.errors import ApiError, failed, unavailable
from reference_server.api.routes import Api
from reference_server.api.service_routes import ServiceRoutes
from reference_server.config import Settings
from reference_server.engine import Engine
from reference_server.errors import ConfigError
from reference_server.health import why_not_alive
from reference_server.instrumentation import Instrumentation, Uninstrumented
from reference_server.models.served_model import ServedModel, served_model
from reference_server.shards.backend import Group
from reference_server.shards.nursery import Nursery

if TYPE_CHECKING:
    from reference_server.core import Core, Outputs

logger = logging.getLogger(__name__)

Loader = Callable[..., "Core"]
"""Of settings, served model and instrumentation; where there are several ranks, of their group as well."""

FAREWELL_S = 1.0
"""For handlers to write their last bytes, and for the engine to end its step."""


def load_lean(
    settings: Settings, served: ServedModel, instrumentation: Instrumentation, group: Group | None = None
) -> "Core":
    """Import torch, the lean way, and load the model."""
    from reference_server.lean_torch import import_torch

    import_torch()
    from reference_server.loading import load_core

    return load_core(settings, served, instrumentation, group)


class Server:
    """One replica in this process. `start` it, wait for `leave`, `drain` it, `stop` it."""

    def __init__(self, settings: Settings, load: Loader = load_lean) -> None:
        """Raises ConfigError when the settings lead to no model."""
        self._settings = settings
        served = served_model(settings)
        self._settings.grid.check(served.shape)
        self._owned, self._leaving = ExitStack(), ExitStack()
        self.metrics_port: int | None = None
        self._devices: DeviceSource = NvmlDevices()
        """What the exporter asks about devices. A fault puts itself around it."""
        instrumentation = self._instrumentation(served)
        if settings.grid.ranks > 1:
            load = partial(load, group=self._group(instrumentation))
        self.leave = asyncio.Event()
        """Set when the replica is to go: told by a signal, or because its engine ended."""
        self.hurry = asyncio.Event()
        """Set by a second signal: do not wait for running requests."""
        self.engine = Engine(
            lambda: load(settings, served, instrumentation),
            self._deliver,
            self._notify_engine_ended,
            lost=self._notify_backend_lost if settings.grid.ranks > 1 else None,
            max_queue=settings.max_queue,
            min_step_s=settings.min_step_s,
        )
        self._api = Api(settings, served, self.engine, instrumentation)
        application = self._api.application()
        registry = instrumentation.registry if isinstance(instrumentation, InferenceMetrics) else None
        ServiceRoutes(lambda: why_not_alive(self.engine, settings), registry).add(application)
        self._open_faults(application)
        self._runner = web.AppRunner(
            application, handler_cancellation=True, access_log=None, shutdown_timeout=FAREWELL_S
        )

    async def start(self) -> None:
        """Listen, and begin to load; raises OSError when the address is taken."""
        self._loop = asyncio.get_running_loop()
        await self._runner.setup()
        await web.TCPSite(self._runner, self._settings.host, self._settings.port).start()
        self.engine.start()
        logger.info("listening host=%s port=%d", self._settings.host, self.port)

    @property
    def port(self) -> int:
        """The API's port: the system's choice where 0 was asked for."""
        return int(self._runner.addresses[0][1])

    def told_to_leave(self) -> None:
        """Leave after running requests; told again, leave now."""
        (self.hurry if self.leave.is_set() else self.leave).set()

    async def drain(self) -> None:
        """Refuse new requests and wait, within bounds, for the running ones; those that are left fail."""
        self._api.draining = True
        logger.info("draining in_flight=%d", len(self._api.in_flight))
        ends = [asyncio.ensure_future(event.wait()) for event in (self._api.idle, self.hurry)]
        await asyncio.wait(ends, timeout=self._settings.drain_s, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        for generation in self._api.in_flight:
            generation.fail(unavailable("it is shutting down"))

    async def stop(self) -> None:
        """Close everything. Handlers that are still there get a moment to say their last word."""
        self._leaving.close()
        await self._runner.cleanup()
        self.engine.stop(FAREWELL_S + self._settings.min_step_s)
        self._owned.close()

    def _instrumentation(self, served: ServedModel) -> Instrumentation:
        if self._settings.metrics == "off":
            return Uninstrumented()
        metrics = InferenceMetrics(
            served.name, cache_tiers=("memory",), objectives=_objectives(self._settings.slo)
        )
        host, port = self._settings.host, self._settings.metrics_port
        exposition = self._owned.enter_context(serve(metrics.registry, host=host, port=port))
        self.metrics_port = exposition.port
        logger.info("metrics host=%s port=%d", host, self.metrics_port)
        self._owned.callback(watch_gpus(metrics.collectors, devices=self._list_devices).close)
        return metrics

    def _open_faults(self, application: web.Application) -> None:
        if self._settings.faults_key:
            from reference_server.faults.door import Door
            from reference_server.faults.layers import Layers

            devices = Layers(self._devices, self._watch_instead)
            door = Door(self._settings.faults_key, self.engine, self._api, devices)
            door.open(application)
            self._leaving.callback(door.close)

    def _list_devices(self) -> Sequence[Device]:
        return self._devices()

    def _watch_instead(self, devices: DeviceSource) -> None:
        self._devices = devices

    def _group(self, instrumentation: Instrumentation) -> Group:
        grid, nursery = self._settings.grid, self._owned.enter_context(closing(Nursery()))
        if not isinstance(instrumentation, InferenceMetrics):
            return Group(grid, nursery)
        observe = CommMetrics(instrumentation.registry).observe
        return Group(grid, nursery, lambda op, peer, latency_s: observe(op, "intra", peer, latency_s))

    def _deliver(self, outputs: "Outputs") -> None:
        hand_over(outputs, self._loop)

    def _notify_engine_ended(self) -> None:
        self._loop.call_soon_threadsafe(self._engine_ended)

    def _engine_ended(self) -> None:
        if self.engine.failure is not None:
            self._fail_in_flight(failed())
        self.leave.set()

    def _notify_backend_lost(self) -> None:
        self._loop.call_soon_threadsafe(self._fail_in_flight, unavailable("it lost a part, and restarts it"))

    def _fail_in_flight(self, error: ApiError) -> None:
        for generation in self._api.in_flight:
            generation.fail(error)


def _objectives(path: Path | None) -> tuple[Objective, ...]:
    """Those of a file, where there is one; ConfigError when it cannot be understood."""
    if path is None:
        return OBJECTIVES
    from exporters.slo_file import SloFileError, read_slo  # nobody else needs YAML

    try:
        return read_slo(path)
    except SloFileError as error:
        raise ConfigError(f"DS_SLO: {error}") from error


def hand_over(outputs: "Outputs", loop: asyncio.AbstractEventLoop) -> None:
    """On the engine's thread: send what can be sent at once; the loop receives all others, with one message."""
    left = [(sequence, output) for sequence, output in outputs if not sequence.send(output)]
    if left:
        loop.call_soon_threadsafe(_receive, left)


def _receive(outputs: "Outputs") -> None:
    for sequence, output in outputs:
        sequence.receive(output)


async def run(settings: Settings, load: Loader = load_lean) -> int:
    """Serve until a signal or the engine's end.

    Returns:
        0 after a drain, 1 when the engine failed.

    Raises:
        ConfigError: the settings lead to no model, or to an address that cannot be listened on.
    """
    with _addresses_named():
        server = Server(settings, load)
    try:
        with _addresses_named():
            await server.start()
        for told in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(told, server.told_to_leave)
        await server.leave.wait()
        await server.drain()
    finally:
        await server.stop()
    if isinstance(server.engine.failure, ConfigError):
        raise server.engine.failure
    if server.engine.failure is not None:
        logger.error("engine failed", exc_info=server.engine.failure)
        return 1
    return 0


@contextmanager
def _addresses_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"DS_HOST, DS_PORT, DS_METRICS_PORT: free addresses are expected: {error}"
        ) from error
