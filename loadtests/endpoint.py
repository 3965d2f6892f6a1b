"""Where requests go: an OpenAI-compatible base URL, taken apart once."""

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


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
        """From `http://host` or `https://host/prefix`, with or without the `/v1` that OpenAI clients want.

        Raises:
            ValueError: the URL is not http(s), names no host, or has a query or credentials in it.
        """
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.query or parts.username:
            raise ValueError(f"expected a base URL such as http://127.0.0.1:8000, not {url!r}")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=parts.port or _DEFAULT_PORTS[parts.scheme],
            prefix=parts.path.rstrip("/").removesuffix("/v1"),
            api_key=api_key.strip(),
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
