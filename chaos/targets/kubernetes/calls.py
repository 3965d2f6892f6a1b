"""Calls of a Kubernetes API server through its official client: JSON in, JSON out, each within its time.

The client is an extra, and imported when a connection is made: whoever has no cluster needs none of it. Of the client
are configuration, credentials, TLS and proxies; its models are not, which know no object of Chaos Mesh.
"""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from chaos.errors import InputError
from chaos.targets.kubernetes.objects import NOT_FOUND, ApiError, Collection, Item, Place

_JSON, _MERGE = "application/json", "application/merge-patch+json"
_LONGEST_WORDS = 300


class Calls:
    """One API server, as one user of it: what `Objects` asks for."""

    def __init__(self, client: Any, kubectl: str) -> None:
        """See `connect`, `in_cluster`."""
        self._client, self._kubectl = client, kubectl

    @classmethod
    def connect(cls, context: str | None = None, kubeconfig: Path | None = None) -> Self:
        """As a kubeconfig says, by default kubectl's own; a program that it names to log in is run.

        Raises:
            InputError: the client is not installed, or there is no such context.
        """
        kubernetes = _client()
        try:
            settings = _settings(kubernetes)
            kubernetes.config.load_kube_config(
                str(kubeconfig) if kubeconfig else None, context=context, client_configuration=settings
            )
        except (kubernetes.config.ConfigException, OSError) as error:
            raise InputError(f"no such cluster in the kubeconfig: {error}") from error
        words = ["kubectl", *(["--kubeconfig", str(kubeconfig)] if kubeconfig else [])]
        return cls(_api_client(settings), shlex.join([*words, *(["--context", context] if context else [])]))

    @classmethod
    def in_cluster(cls) -> Self:
        """As the service account of the pod that this runs in; its token is read again when it was renewed.

        Raises:
            InputError: the client is not installed, or this is no pod.
        """
        kubernetes = _client()
        settings = _settings(kubernetes)
        try:
            kubernetes.config.load_incluster_config(client_configuration=settings)
        except kubernetes.config.ConfigException as error:
            raise InputError(f"not in a pod of a cluster: {error}", hint="name a --context") from error
        return cls(_api_client(settings), "kubectl")

    @property
    def kubectl(self) -> str:
        """What a person types to ask the same server."""
        return self._kubectl

    def credentials(self) -> tuple[Any, Callable[[], dict[str, str]]]:
        """The client's configuration, and what proves who asks now: a token may be renewed at any time."""
        configuration = self._client.configuration

        def headers() -> dict[str, str]:
            found = configuration.auth_settings().get("BearerToken") or {}
            return {"authorization": str(found["value"])} if found.get("value") else {}

        return configuration, headers

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def get(self, place: Place, *, within_s: float) -> Item | None:
        """The object; None where there is none."""
        return self._unless_gone("GET", place.path, within_s=within_s)

    def list(self, collection: Collection, *, labels: str = "", within_s: float) -> Sequence[Item]:
        """Every object whose labels a selector lets through; a list of core objects leaves out what they are."""
        query = {"labelSelector": labels} if labels else {}
        listed = self._call("GET", collection.path, query=query, within_s=within_s)
        return [item for item in listed.get("items") or () if isinstance(item, dict)]

    def create(self, collection: Collection, body: Item, *, within_s: float) -> Item:
        """Make an object; a key that the server does not know is refused."""
        strict = {"fieldValidation": "Strict"}
        return self._call("POST", collection.path, body, query=strict, within_s=within_s)

    def patch(self, place: Place, body: Item, *, within_s: float) -> Item | None:
        """Merge into an object (RFC 7386); None where there is none."""
        return self._unless_gone("PATCH", place.path, body, content=_MERGE, within_s=within_s)

    def delete(self, place: Place, *, uid: str = "", within_s: float) -> None:
        """Delete an object, and no other of its name where a uid is given; fine where there is none."""
        options = {"propagationPolicy": "Background", **({"preconditions": {"uid": uid}} if uid else {})}
        self._unless_gone("DELETE", place.path, options, within_s=within_s)

    def _unless_gone(self, method: str, path: str, body: Item | None = None, **asked: Any) -> Item | None:
        try:
            return self._call(method, path, body, **asked)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def _call(
        self,
        method: str,
        path: str,
        body: Item | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content: str = _JSON,
        within_s: float,
    ) -> Item:
        """The answer.

        Raises:
            ApiError: it was no success, or none came.
        """
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": _JSON, "Content-Type": content}
        try:
            asked = self._client.param_serialize(
                method,
                path,
                query_params=[*(query or {}).items()],
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = self._client.call_api(*asked, _request_timeout=within_s)
            return _answer(response.status, response.read(), response.headers)
        except (HTTPError, ApiException, OSError) as error:
            raise ApiError(0, f"the API server does not answer: {short(error)}") from error


def _answer(status: int, body: bytes, headers: Mapping[str, str]) -> Item:
    try:
        answer = json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError(status, f"the API server answered {status} and no JSON") from error
    if not isinstance(answer, dict):
        raise ApiError(status, f"the API server answered {status} and no object")
    if status >= 300:
        wait = str(headers.get("Retry-After") or "")
        message = str(answer.get("message") or answer.get("reason") or "")[:_LONGEST_WORDS]
        raise ApiError(status, f"{status}: {message}", float(wait) if wait.isdigit() else 0.0)
    return answer


def current_context(kubeconfig: Path | None) -> str:
    """What a kubeconfig's current context is called, by default that of kubectl's own.

    Raises:
        InputError: the client is not installed, or there is none.
    """
    config = _client().config
    try:
        _, current = config.list_kube_config_contexts(str(kubeconfig) if kubeconfig else None)
    except (config.ConfigException, OSError) as error:
        raise InputError(f"no such cluster in the kubeconfig: {error}") from error
    return str(current["name"])


def _client() -> Any:
    try:
        import kubernetes
        import kubernetes.config
    except ImportError as error:
        raise InputError("the Kubernetes client is not installed", hint="pip install kubernetes") from error
    return kubernetes


def _settings(kubernetes: Any) -> Any:
    """Whoever asks decides whether to ask again: the client itself never does."""
    settings = kubernetes.client.Configuration()
    settings.retries = False
    return settings


def _api_client(settings: Any) -> Any:
    import kubernetes

    client = kubernetes.client.ApiClient(settings)
    client.user_agent = "aftershock"  # what an API server's audit log, and managed fields, call us
    return client


def short(error: BaseException) -> str:
    """The innermost reason, without the objects that urllib3 prints around it."""
    reason = getattr(error, "reason", None) or error
    return f"{reason}".rpartition(">: ")[2][:_LONGEST_WORDS] or type(reason).__name__
