"""Where an exposition is, from what people have of a server: a base URL, with or without a route, a key, `/metrics`."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from loadtests.endpoint import Endpoint, without_key

_METRICS = "/metrics"


def exposition_of(url: str) -> tuple[str, Mapping[str, str]]:
    """The URL to ask for series, without the key in it, and the header that carries that.

    A path that is none of a server's API is the exposition's own; else it is `/metrics` beside the API.

    Raises:
        ValueError: the URL is none; the message never has the key.
    """
    endpoint = Endpoint.parse(url)
    path = urlsplit(url).path.rstrip("/")
    own = path and path == endpoint.prefix
    asked = (
        without_key(url) if own else f"{endpoint.scheme}://{endpoint.authority}{endpoint.prefix}{_METRICS}"
    )
    return asked, endpoint.authorization
