"""What clients and balancers of other engines ask on the API's own port: `/health`, `/version`, `/metrics`.

vLLM and SGLang answer these there. Our series have a port of their own besides, which goes on answering while the
event loop of this one does not.
"""

import asyncio
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

_PACKAGE = "aftershock"


class ServiceRoutes:
    """The three of them."""

    def __init__(self, why_not_alive: Callable[[], str | None], registry: CollectorRegistry | None) -> None:
        """`registry` is None for a server that counts nothing: then there is no `/metrics`."""
        self._why_not_alive = why_not_alive
        self._registry = registry

    def add(self, application: web.Application) -> None:
        """Put them beside the others."""
        application.router.add_get("/health", self._health)
        application.router.add_get("/version", self._version)
        if self._registry is not None:
            application.router.add_get("/metrics", self._metrics)

    async def _health(self, _: web.Request) -> web.Response:
        """As `/healthz`, under vLLM's name."""
        why = self._why_not_alive()
        return web.Response(text=why or "", status=503 if why else 200)

    async def _version(self, _: web.Request) -> web.Response:
        try:
            known = version(_PACKAGE)
        except PackageNotFoundError:  # a tree that is on the path and not installed
            known = "0"
        return web.json_response({"version": known})

    async def _metrics(self, _: web.Request) -> web.Response:
        assert self._registry is not None
        # Rendered in a thread: it takes milliseconds, and tokens would wait for it.
        text = await asyncio.to_thread(generate_latest, self._registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
