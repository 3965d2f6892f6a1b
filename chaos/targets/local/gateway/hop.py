"""The gateway's hop: what of a request or an answer goes on to the other side, and what belongs to one connection."""

import json
from collections.abc import Mapping, Sequence

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

REPLICA_HEADER = "x-aftershock-replica"
ATTEMPTS_HEADER = "x-aftershock-attempts"

_CONNECT_WITHIN_S = 2.0
# Below the five seconds after which uvicorn closes an idle connection: reusing one that is being closed is a
# failure.
_IDLE_S = 2.0
_RETRY_AFTER_S = 1
# Of one hop alone, by RFC 9110 section 7.6.1; lengths and encodings of the body are set anew.
_HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
    )
)


def session() -> aiohttp.ClientSession:
    """A client that changes nothing it passes on and never gives up: patience is the caller's to limit."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_WITHIN_S),
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def passed_on(headers: Mapping[str, str], drop: str = "") -> CIMultiDict[str]:
    """The headers that are not of one hop alone, nor the one to drop."""
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    unwanted = _HOP_BY_HOP | named | {drop}
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in unwanted)


def error(status: int, code: str, message: str, tried: Sequence[str]) -> web.Response:
    """An answer of the gateway's own, in OpenAI's shape."""
    body = {"error": {"message": message, "type": "server_error", "param": None, "code": code}}
    headers = {ATTEMPTS_HEADER: str(len(tried)), "Retry-After": str(_RETRY_AFTER_S)}
    return web.Response(
        status=status, text=json.dumps(body), content_type="application/json", headers=headers
    )
