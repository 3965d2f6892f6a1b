"""Serves one registry over HTTP on a port of its own: `/metrics`, whatever it was told to lead to, and else 404.

Each scrape renders in a thread of its own, never on a server's event loop: it takes milliseconds. It is always in
Prometheus's text format, whatever else is accepted: OpenMetrics says no more of our series, and takes twice as long.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from prometheus_client import CollectorRegistry, make_wsgi_app, start_http_server

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Exposition:
    """A running endpoint. `close` ends it; so does leaving it as a context manager."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        self._server, self._thread = start_http_server(port, host, registry)
        self._elsewhere: dict[str, str] = {}
        """Addresses of other servers, by the paths here that lead there."""
        self._server.set_app(_metrics_only(make_wsgi_app(registry), self._elsewhere))

    @property
    def port(self) -> int:
        """The port that listens: the system's choice where 0 was asked for."""
        return self._server.server_port

    def lead(self, path: str, address: str) -> None:
        """Answer this path with a redirection: a short name for an address that is too long to type."""
        self._elsewhere[path] = address

    def close(self) -> None:
        """Stop listening; takes up to half a second. A second call changes nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(registry: CollectorRegistry, *, host: str = "0.0.0.0", port: int = 8081) -> Exposition:
    """Serve the registry's series at `http://host:port/metrics`; port 0 takes a free one.

    Raises:
        OSError: the address cannot be bound.
    """
    return Exposition(registry, host, port)


def _metrics_only(app: WsgiApp, elsewhere: Mapping[str, str]) -> WsgiApp:
    def route(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return app({**environ, "HTTP_ACCEPT": "text/plain"}, start_response)
        if address := elsewhere.get(environ["PATH_INFO"]):
            start_response("302 Found", [("Location", address)])
            return [b""]
        start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"only /metrics is served here\n"]

    return route
