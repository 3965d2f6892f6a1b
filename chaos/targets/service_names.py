"""Hosts by which whoever is in a cluster reaches a Service of it, and the URLs that have one of them."""

from collections.abc import Sequence
from urllib.parse import urlsplit

_DOMAIN = ("svc", "cluster", "local")


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """Of one Service: `server`, `server.inference`, `server.inference.svc` and the whole name."""
    return (service, *_anywhere(service, namespace))


def of_service_url(url: str, namespace: str) -> tuple[str, ...]:
    """Of the Service whose name a URL has as its host, as seen from a namespace; none where it has another host."""
    match (urlsplit(url).hostname or "").rstrip(".").split("."):
        case [service] if service and service != "localhost" and ":" not in service:
            return service_names(service, namespace)
        case [service, there] if there == namespace:
            return service_names(service, namespace)
        case [service, there, *domain] if tuple(domain) in (_DOMAIN[:1], _DOMAIN):
            return service_names(service, there) if there == namespace else _anywhere(service, there)
        case _:
            return ()


def names_service(url: str, names: Sequence[str]) -> bool:
    """Whether a URL asks one of these hosts by HTTP, at whatever port."""
    parts = urlsplit(url)
    return parts.scheme == "http" and (parts.hostname or "").rstrip(".") in names


def _anywhere(service: str, namespace: str) -> tuple[str, ...]:
    """Those that mean it in every namespace."""
    short = f"{service}.{namespace}"
    return (short, f"{short}.{_DOMAIN[0]}", f"{short}.{'.'.join(_DOMAIN)}")
