"""Where requests go: an OpenAI-compatible base URL, taken apart once."""

import http.client
import json
import re
import ssl
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
API_KEY = "OPENAI_API_KEY"
"""The variable in which a key waits for the load: a command line would show it to everybody on the machine."""
_CREDENTIALS = re.compile(r"(?<=://)[^/?#]*@")
_ROUTE = re.compile(r"(?:/v1)?(?:/chat/completions|/completions|/models)$|/v1$")
"""What people copy with a base URL; whatever of it is there, what lies before it is the same."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server and the path prefix under which its `/v1` lives."""

    scheme: str
    host: str
    port: int
    prefix: str = ""
    api_key: str = ""

    @classmethod
    def parse(cls, url: str, api_key: str = "") -> Self:
        """From `http://host` or `https://host/prefix`, with or without `/v1` or the path of a route behind it.

        Args:
            url: the key may stand in it, as `http://KEY@host` or `http://:KEY@host`.
            api_key: the key, where it does not.

        Raises:
            ValueError: the URL is not http(s), names no host or no port that there is, or has a query in it. The
                message never has the key.
        """
        complaint = f"expected a base URL such as http://127.0.0.1:8000, not {without_key(url)!r}"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:  # its message may quote the URL
            raise ValueError(complaint) from None
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.query:
            raise ValueError(complaint)
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=port or _DEFAULT_PORTS[parts.scheme],
            prefix=_ROUTE.sub("", parts.path.rstrip("/")),
            api_key=api_key.strip() or unquote(parts.password or parts.username or ""),
        )

    def __repr__(self) -> str:
        return f"Endpoint({self.scheme}://{self.authority}{self.prefix})"

    @property
    def authority(self) -> str:
        """Host as a Host header wants it: brackets around IPv6, no default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def authorization(self) -> dict[str, str]:
        """The header that carries the API key; empty without one."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}


def without_key(url: str) -> str:
    """A URL that may be shown to anybody."""
    return _CREDENTIALS.sub("", url)


def first_model(endpoint: Endpoint, timeout_s: float = 10.0) -> str:
    """The first id that `/v1/models` lists.

    Raises:
        ValueError: the server could not be asked, or answered with anything but a list of models.
    """
    path = f"{endpoint.prefix}/v1/models"
    hint = f"cannot learn the model from {endpoint.scheme}://{endpoint.authority}{path}; name it with --model"
    connection = (
        http.client.HTTPSConnection(
            endpoint.host, endpoint.port, timeout=timeout_s, context=ssl.create_default_context()
        )
        if endpoint.scheme == "https"
        else http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=timeout_s)
    )
    try:
        connection.request("GET", path, headers=endpoint.authorization)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ValueError(f"{hint}: {error}") from error
    finally:
        connection.close()
    try:
        return str(json.loads(body)["data"][0]["id"])
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{hint}: it answered {response.status} {body[:200]!r}") from error
