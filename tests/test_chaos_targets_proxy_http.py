"""Rules on HTTP in the proxy: what a client and a replica see, on real sockets."""

import base64
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.conftest import Eventually
from tests.support.local_cluster import Helper, helper


@dataclass(frozen=True)
class Seen:
    """One answer as a client sees it."""

    status: int
    headers: dict[str, list[str]]
    body: bytes
    took_s: float

    @property
    def asked(self) -> Any:
        """What the replica says that it was asked."""
        return json.loads(self.body)


class Mirror(BaseHTTPRequestHandler):
    """Answers with what it was asked, as JSON; the path says how."""

    protocol_version = "HTTP/1.1"
    asked: list[str]

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        self.asked.append(f"{self.command} {self.path}")
        seen = {
            "method": self.command,
            "target": self.path,
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
            "body": body.decode(),
        }
        data = b"plain text" if self.path.startswith("/text") else json.dumps(seen).encode()
        self.send_response(503 if self.path.startswith("/full") else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Kind", "mirror")
        self.send_header("X-Kind", "second")
        if self.path.startswith("/chunked"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            pieces = (data[:7], data[7:], b"")
            self.wfile.write(b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces))
        else:
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else data)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """Not on the terminal."""


@dataclass
class Replica:
    """A route to a replica that mirrors."""

    proxy: Helper
    name: str
    port: int
    asked: list[str] = field(default_factory=list)
    rules: int = 0

    def rule(self, **rule: Any) -> str:
        """Put a rule in force; its occurrence."""
        self.rules += 1
        occurrence = f"{self.name}#{self.rules}"
        order = {"target": "Response", "port": 8000, **rule}
        assert "error" not in self.proxy.ask("rule", occurrence=occurrence, routes=[self.name], rule=order)
        return occurrence

    def unrule(self, occurrence: str) -> None:
        """Take it out of force."""
        assert "error" not in self.proxy.ask("unrule", occurrence=occurrence)

    def connect(self) -> http.client.HTTPConnection:
        """A new connection through the proxy."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)


@pytest.fixture(scope="module")
def proxy() -> Iterator[Helper]:
    with helper("proxy") as started:
        yield started


@pytest.fixture
def replica(proxy: Helper, request: pytest.FixtureRequest) -> Iterator[Replica]:
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Mirror,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    name = request.node.name
    port = proxy.ask("add", route=name, upstream_port=server.server_address[1])["port"]
    yield Replica(proxy, name, port, asked)
    proxy.ask("remove", route=name)
    server.shutdown()
    thread.join()
    server.server_close()


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    body: bytes | Iterator[bytes] | None = None,
    headers: dict[str, str] | None = None,
) -> Seen:
    began_s = time.monotonic()
    connection.request(method, target, body, headers or {}, encode_chunked=not isinstance(body, bytes | None))
    response = connection.getresponse()
    took_s = time.monotonic() - began_s
    had: dict[str, list[str]] = {}
    for name, value in response.getheaders():
        had.setdefault(name.lower(), []).append(value)
    return Seen(response.status, had, response.read(), took_s)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


REQUEST = {"target": "Request"}
CHAT = b'{"model": "a", "stream": true, "options": {"n": 1, "k": 2}}'
Check = Callable[[Seen], object]
SEEN: dict[str, tuple[dict[str, Any], tuple[Any, ...], Check]] = {
    "nothing is selected by another path": (
        {"path": "/v2/*", "replace": {"code": 500}},
        ("GET", "/v1/models"),
        lambda seen: seen.status == 200,
    ),
    "a star is any text, slashes too": (
        {"path": "/v1/*ls", "replace": {"code": 500}},
        ("GET", "/v1/a/b/models?x=1"),
        lambda seen: seen.status == 500,
    ),
    "a question mark is one character": (
        {"path": "/v?/models", "replace": {"code": 500}},
        ("GET", "/v12/models"),
        lambda seen: seen.status == 200,
    ),
    "another method is not selected": (
        {"method": "POST", "replace": {"code": 500}},
        ("GET", "/"),
        lambda seen: seen.status == 200,
    ),
    "an answer is selected by its status": (
        {"code": 503, "replace": {"code": 200}},
        ("GET", "/full"),
        lambda seen: seen.status == 200,
    ),
    "an answer of another status is not": (
        {"code": 503, "replace": {"code": 418}},
        ("GET", "/"),
        lambda seen: seen.status == 200,
    ),
    "a request is selected by its headers": (
        {"request_headers": {"x-user": "b"}, "replace": {"code": 429}},
        ("GET", "/", None, {"X-User": "b"}),
        lambda seen: seen.status == 429,
    ),
    "a header of another value does not select": (
        {"request_headers": {"x-user": "b"}, "replace": {"code": 429}},
        ("GET", "/", None, {"X-User": "B"}),
        lambda seen: seen.status == 200,
    ),
    "an answer is selected by one of its headers of a name": (
        {"response_headers": {"x-kind": "second"}, "replace": {"code": 429}},
        ("GET", "/"),
        lambda seen: seen.status == 429,
    ),
    "an answer without such a header is not selected": (
        {"response_headers": {"x-kind": "third"}, "replace": {"code": 429}},
        ("GET", "/"),
        lambda seen: seen.status == 200,
    ),
    "requests are selected whatever their answer": (
        {**REQUEST, "code": 599, "replace": {"method": "PUT"}},
        ("GET", "/"),
        lambda seen: seen.asked["method"] == "PUT",
    ),
    "a path is replaced, and its query stays": (
        {**REQUEST, "replace": {"path": "/v2/x"}},
        ("GET", "/v1/y?a=1"),
        lambda seen: seen.asked["target"] == "/v2/x?a=1",
    ),
    "an empty path is the root": (
        {**REQUEST, "replace": {"path": ""}},
        ("GET", "/v1/y"),
        lambda seen: seen.asked["target"] == "/",
    ),
    "queries are replaced by name, and others stay": (
        {**REQUEST, "replace": {"queries": {"a": "x y", "c": "3"}}},
        ("GET", "/q?a=1&b=&a=2"),
        lambda seen: seen.asked["target"] == "/q?a=x+y&b=&c=3",
    ),
    "queries are added to those that are there": (
        {**REQUEST, "patch": {"queries": [["a", "2"], ["a", "3"]]}},
        ("GET", "/q?a=1"),
        lambda seen: seen.asked["target"] == "/q?a=1&a=2&a=3",
    ),
    "queries are added where there are none": (
        {**REQUEST, "patch": {"queries": [["a", "&"]]}},
        ("GET", "/q"),
        lambda seen: seen.asked["target"] == "/q?a=%26",
    ),
    "headers are replaced first and then added to": (
        {
            **REQUEST,
            "replace": {"headers": {"X-A": "new"}},
            "patch": {"headers": [["x-a", "more"], ["X-B", "b"]]},
        },
        ("GET", "/", None, {"x-a": "old"}),
        lambda seen: (
            [each for each in seen.asked["headers"] if each[0] in ("x-a", "x-b")]
            == [["x-a", "new"], ["x-a", "more"], ["x-b", "b"]]
        ),
    ),
    "a request's body is replaced, with its length": (
        {**REQUEST, "replace": {"body": encoded("instead")}},
        ("POST", "/", b"a much longer body than that"),
        lambda seen: seen.asked["body"] == "instead",
    ),
    "a chunked body is replaced by one that is not": (
        {**REQUEST, "replace": {"body": encoded("instead")}},
        ("POST", "/", iter([b"one", b"two"])),
        lambda seen: (
            seen.asked["body"] == "instead" and ["transfer-encoding", "chunked"] not in seen.asked["headers"]
        ),
    ),
    "a request's body is patched, and null removes": (
        {**REQUEST, "patch": {"body": '{"stream": null, "options": {"n": 3}, "more": [1]}'}},
        ("POST", "/", CHAT),
        lambda seen: (
            json.loads(seen.asked["body"]) == {"model": "a", "options": {"n": 3, "k": 2}, "more": [1]}
        ),
    ),
    "a chunked body is patched": (
        {**REQUEST, "patch": {"body": '{"stream": false}'}},
        ("POST", "/", iter([CHAT[:5], CHAT[5:]])),
        lambda seen: json.loads(seen.asked["body"])["stream"] is False,
    ),
    "a body is replaced before it is patched": (
        {**REQUEST, "replace": {"body": encoded('{"a": 1}')}, "patch": {"body": '{"b": 2}'}},
        ("POST", "/", b"no JSON"),
        lambda seen: json.loads(seen.asked["body"]) == {"a": 1, "b": 2},
    ),
    "a method is replaced, and the answer to the other one read": (
        {**REQUEST, "replace": {"method": "DELETE"}},
        ("GET", "/"),
        lambda seen: seen.asked["method"] == "DELETE",
    ),
    "an answer's status and body are replaced, with its length": (
        {"replace": {"code": 503, "body": encoded("overloaded")}},
        ("GET", "/"),
        lambda seen: (seen.status, seen.body, seen.headers["content-length"]) == (503, b"overloaded", ["10"]),
    ),
    "a chunked answer is replaced by one that is not": (
        {"replace": {"body": encoded("short")}},
        ("GET", "/chunked"),
        lambda seen: seen.body == b"short" and "transfer-encoding" not in seen.headers,
    ),
    "a chunked answer is patched": (
        {"patch": {"body": '{"method": "none"}'}},
        ("GET", "/chunked"),
        lambda seen: seen.asked["method"] == "none" and seen.asked["target"] == "/chunked",
    ),
    "an answer's headers are replaced and added to": (
        {"replace": {"headers": {"x-kind": "one"}}, "patch": {"headers": [["Retry-After", "7"]]}},
        ("GET", "/"),
        lambda seen: (seen.headers["x-kind"], seen.headers["retry-after"]) == (["one"], ["7"]),
    ),
    "an answer to a HEAD has its head changed and no body": (
        {"replace": {"code": 500, "body": encoded("never")}},
        ("HEAD", "/"),
        lambda seen: (seen.status, seen.body) == (500, b""),
    ),
    "an answer that may have no body any more has none": (
        {"replace": {"code": 204}},
        ("GET", "/"),
        lambda seen: (seen.status, seen.body, "content-length" in seen.headers) == (204, b"", False),
    ),
    "an answer is late": ({"delay_s": 0.3}, ("GET", "/"), lambda seen: seen.took_s >= 0.3),
    "a request is late": ({**REQUEST, "delay_s": 0.3}, ("GET", "/"), lambda seen: seen.took_s >= 0.3),
}


@pytest.mark.parametrize("case", SEEN)
def test_a_client_sees_what_a_rule_makes_of_a_message_and_the_next_one_passes_on_the_same_connection(
    replica: Replica, case: str
) -> None:
    rule, question, check = SEEN[case]
    occurrence = replica.rule(**rule)
    with closing(replica.connect()) as connection:
        seen = ask(connection, *question)
        assert check(seen), seen
        sock = connection.sock
        replica.unrule(occurrence)
        after = ask(connection, "GET", "/after")
        assert (after.status, after.asked["target"], connection.sock) == (200, "/after", sock)


@pytest.mark.parametrize(
    ("rule", "target"),
    [
        ({"target": "Request", "abort": True}, "/"),
        ({"abort": True, "delay_s": 3600.0}, "/"),
        ({"patch": {"body": "{}"}}, "/text"),
        ({"target": "Request", "patch": {"body": "{}"}}, "/"),
    ],
    ids=["a request", "an answer, at once", "a patch of an answer that is no JSON", "a patch of no body"],
)
def test_what_is_aborted_ends_the_connection_without_an_answer(
    replica: Replica, rule: dict[str, Any], target: str
) -> None:
    with closing(replica.connect()) as connection:
        assert ask(connection, "GET", "/before").status == 200
        replica.rule(**rule)
        with pytest.raises(http.client.RemoteDisconnected):
            ask(connection, "GET", target)
    assert replica.asked == (["GET /before"] if "target" in rule else ["GET /before", f"GET {target}"])


def test_several_rules_are_followed_in_their_order_and_delays_add_up(replica: Replica) -> None:
    replica.rule(delay_s=0.15, patch={"headers": [["x-order", "1"]]})
    replica.rule(delay_s=0.15, patch={"headers": [["x-order", "2"]]})
    replica.rule(target="Request", replace={"path": "/other"})
    with closing(replica.connect()) as connection:
        seen = ask(connection, "GET", "/")
    assert seen.took_s >= 0.3
    assert seen.headers["x-order"] == ["1", "2"]
    assert seen.asked["target"] == "/other"


def test_a_connection_that_is_open_is_ruled_from_its_next_request_on(
    replica: Replica, eventually: Eventually
) -> None:
    with closing(replica.connect()) as connection:
        connection.putrequest("POST", "/begun")
        connection.putheader("Content-Length", "4")
        connection.endheaders()
        connection.send(b"ab")
        eventually(
            lambda: replica.proxy.ask("counters")["routes"][replica.name]["up_bytes"] > 0,
            within_s=20,
            what="the beginning of a request",
        )
        replica.rule(replace={"code": 500})
        connection.send(b"cd")
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["body"]) == (200, "abcd")
        assert ask(connection, "GET", "/next").status == 500


def test_an_answer_belongs_to_the_rules_that_were_there_when_its_request_came(
    replica: Replica, eventually: Eventually
) -> None:
    slow = replica.rule(target="Request", delay_s=3600.0)
    with closing(replica.connect()) as connection:
        connection.request("GET", "/")
        eventually(
            lambda: replica.proxy.ask("counters")["ruled"][replica.name][slow] == 1,
            within_s=20,
            what="a message kept",
        )
        replica.rule(replace={"code": 500})
        replica.unrule(slow)
        assert connection.getresponse().status == 200


@pytest.mark.parametrize("target", ["Request", "Response"])
def test_what_a_rule_keeps_goes_on_when_the_rule_is_undone(
    replica: Replica, target: str, eventually: Eventually
) -> None:
    occurrence = replica.rule(target=target, delay_s=3600.0, replace={"headers": {"x-late": "yes"}})
    with closing(replica.connect()) as connection:
        connection.request("GET", "/")
        eventually(
            lambda: replica.proxy.ask("counters")["ruled"][replica.name][occurrence] == 1,
            within_s=20,
            what="a message kept",
        )
        replica.unrule(occurrence)
        response = connection.getresponse()
        assert (response.status, response.headers["x-late"]) == (200, None), "nor is it changed any more"


def test_a_request_whose_client_leaves_while_it_is_kept_never_reaches_the_replica(
    replica: Replica, eventually: Eventually
) -> None:
    occurrence = replica.rule(target="Request", path="/kept", delay_s=3600.0)
    connection = replica.connect()
    connection.request("GET", "/kept")
    eventually(
        lambda: replica.proxy.ask("counters")["ruled"][replica.name][occurrence] == 1,
        within_s=20,
        what="a message kept",
    )
    connection.close()
    eventually(
        lambda: replica.proxy.ask("counters")["routes"][replica.name]["open"] == 0,
        within_s=20,
        what="a closed connection",
    )
    replica.unrule(occurrence)
    with closing(replica.connect()) as another:
        ask(another, "GET", "/another")
    assert replica.asked == ["GET /another"]


def test_a_rule_and_a_fault_of_the_network_add_up(replica: Replica) -> None:
    traffic = {"delay_s": 0.15}
    replica.proxy.ask(
        "shape", occurrence="slow#1", routes=[replica.name], to_replica=traffic, from_replica=traffic
    )
    replica.rule(delay_s=0.2, replace={"code": 500})
    with closing(replica.connect()) as connection:
        assert ask(connection, "GET", "/").took_s >= 0.8, "an opening, an exchange, and the rule"
        again = ask(connection, "GET", "/")
        assert (again.status, again.took_s >= 0.5) == (500, True)
        replica.proxy.ask("unshape", occurrence="slow#1")
        assert ask(connection, "GET", "/").took_s >= 0.2
