"""The counts that a run begins with: taken at rest, whatever was asked a moment before."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from chaos.collecting.counts import counts_before
from chaos.errors import InconclusiveError
from chaos.targets import Endpoints
from exporters.series import gateway


class Gateway(BaseHTTPRequestHandler):
    """Still busy with the last byte of a request when it is asked first; counts it afterwards."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        ended = int(self.asked > 3)
        lines = [
            f"# TYPE {gateway.GATEWAY_IN_FLIGHT.name} gauge",
            f"{gateway.GATEWAY_IN_FLIGHT.name} {1 - ended}",
            f"# TYPE {gateway.GATEWAY_REQUESTS.name.removesuffix('_total')} counter",
            f'{gateway.GATEWAY_REQUESTS.name}{{outcome="ok"}} {6 + ended}',
        ]
        self.send_response(200)
        self.end_headers()
        self.wfile.write("\n".join([*lines, ""]).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_request_that_is_counted_a_moment_after_its_client_has_it_belongs_to_the_time_before(
    url: str,
) -> None:
    endpoints = Endpoints(url=url, prometheus_url=None, gateway_metrics_url=f"{url}/metrics")
    before = counts_before(endpoints, used=False)
    assert before is not None
    assert before.requests == 7


def test_without_a_gateways_metrics_there_is_nothing_to_compare_with() -> None:
    endpoints = Endpoints(url="http://127.0.0.1:9", prometheus_url=None, gateway_metrics_url=None)
    assert counts_before(endpoints, used=True) is None


@pytest.mark.parametrize("answer", [b"", b"no HTTP at all\r\n\r\n", b"HTTP/1.1 500 No\r\n\r\n"])
def test_a_gateway_that_gives_no_metrics_ends_a_run_with_a_reason_and_not_with_a_traceback(
    answer: bytes,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def once() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        threading.Thread(target=once, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"
        endpoints = Endpoints(url="http://127.0.0.1:9", prometheus_url=None, gateway_metrics_url=url)
        with pytest.raises(InconclusiveError, match=f"no metrics at {url}: "):
            counts_before(endpoints, used=False)
