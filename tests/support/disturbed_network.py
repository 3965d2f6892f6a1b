"""A plain server behind the local target's proxy, whose network is disturbed for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from chaos.targets.effects import Traffic
from tests.support.local_cluster import Helper, helper
from tests.support.plain_client import server


class Proxy:
    """The proxy with one route, under our orders."""

    def __init__(self, helper: Helper, upstream: int) -> None:
        self._helper = helper
        self.port = int(helper.ask("add", route="r", upstream_port=upstream)["port"])

    @contextmanager
    def disturbed(self, traffic: Traffic) -> Iterator[None]:
        """The same traffic on both ways for a while."""
        ways = {"to_replica": asdict(traffic), "from_replica": asdict(traffic)}
        self._helper.ask("shape", occurrence="fault#1", routes=["r"], **ways)
        try:
            yield
        finally:
            self._helper.ask("unshape", occurrence="fault#1")


@contextmanager
def proxied() -> Iterator[Proxy]:
    """A server behind a proxy."""
    with server() as upstream, helper("proxy") as started:
        yield Proxy(started, upstream)
