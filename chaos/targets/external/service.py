"""What is known of a service, and whether it answers at all: one short request before a run, as the load sends them."""

import http.client
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos.errors import InputError, RefusedError
from exporters.fetch import FetchError, fetch
from exporters.series.gateway import GATEWAY_REQUESTS
from loadtests.completions import PATH, request_body
from loadtests.endpoint import Endpoint, first_model

_WITHIN_S = 30.0
_BODY_LENGTH = 200
_GATEWAY = "gateway_metrics"
_HINTS = {
    400: "does it refuse ignore_eos? `load.ignore_eos: false`, or --no-ignore-eos",
    401: "name the variable that holds its key: `target.external.api_key_env`, or --api-key-env",
    403: "name the variable that holds its key: `target.external.api_key_env`, or --api-key-env",
    404: "is this the model's name, and the URL the one before /v1?",
}


@dataclass(frozen=True, slots=True)
class Service:
    """Where a service is, and what else may be asked of it."""

    url: str
    model: str | None = None
    api_key: str = field(default="", repr=False)
    ignore_eos: bool = True
    body: Mapping[str, Any] | None = None
    metrics_urls: Sequence[str] = ()
    prometheus_url: str | None = None
    gateway_metrics_url: str | None = None

    @property
    def expositions(self) -> Iterator[tuple[str, str]]:
        """Every other URL, with its key in the experiment file."""
        yield from ((f"metrics[{index}]", url) for index, url in enumerate(self.metrics_urls))
        if self.prometheus_url is not None:
            yield "prometheus", self.prometheus_url
        if self.gateway_metrics_url is not None:
            yield _GATEWAY, self.gateway_metrics_url


def require_answer(service: Service) -> str:
    """The model that answers: the one that was named, or the first that the service lists.

    Raises:
        RefusedError: nothing answers there, or nothing but errors of its own.
        InputError: what answers refuses the request, and the hint says which option it may be; or nothing answers at
            one of the other URLs.
    """
    for key, url in service.expositions:
        _require_exposition(key, url)
    endpoint = Endpoint.parse(service.url, service.api_key)
    where = f"{endpoint.scheme}://{endpoint.authority}{endpoint.prefix}"
    try:
        asked = service.model or first_model(endpoint, _WITHIN_S)
    except ValueError as error:
        hint = "does it want a key, or the model's name? --api-key-env, --model, or the same in `target.external`"
        raise RefusedError(f"no service at {where}: {error}", hint=hint) from error
    wanted = request_body(asked, "Hello", 1, ignore_eos=service.ignore_eos, besides=service.body)
    status, body = _post(endpoint, where, wanted)
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR or status == http.HTTPStatus.TOO_MANY_REQUESTS:
        raise RefusedError(f"{where} answers a request to {asked} with {status}: {body}")
    if status != http.HTTPStatus.OK:
        raise InputError(
            f"{where} refuses a request to {asked} with {status}: {body}", hint=_HINTS.get(status)
        )
    return asked


def _require_exposition(key: str, url: str) -> None:
    try:
        body = fetch(url, _WITHIN_S)
    except FetchError as error:
        if error.status is not None:
            raise InputError(f"target.external.{key}: {url} answers {error.status}") from error
        raise InputError(f"target.external.{key}: nothing answers as it should at {error}") from error
    if key == _GATEWAY and GATEWAY_REQUESTS.name.encode() not in body:
        raise InputError(
            f"target.external.{key}: expected an aftershock gateway's series ({GATEWAY_REQUESTS.name}), got {url}",
            hint="leave the key out for any other gateway: its counts cannot be compared with the client's",
        )


def _post(endpoint: Endpoint, where: str, body: bytes) -> tuple[int, str]:
    connection = _connection(endpoint)
    try:
        headers = {"Content-Type": "application/json", **endpoint.authorization}
        connection.request("POST", f"{endpoint.prefix}{PATH}", body, headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise RefusedError(f"no service at {where}: {error!r}") from error
    finally:
        connection.close()
    return answer.status, text[:_BODY_LENGTH]


def _connection(endpoint: Endpoint) -> http.client.HTTPConnection:
    if endpoint.scheme == "https":
        return http.client.HTTPSConnection(
            endpoint.host, endpoint.port, timeout=_WITHIN_S, context=ssl.create_default_context()
        )
    return http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=_WITHIN_S)
