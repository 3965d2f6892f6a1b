"""Why a request was no request: the reasons by which they are counted."""

from aiohttp import web

from reference_server.api.errors import ApiError
from reference_server.api.field_list import UNSERVED

_BY_CODE = {
    UNSERVED: "unserved",
    "context_length_exceeded": "context_length",
    "model_not_found": "unknown_model",
}


def why_invalid(error: ApiError | web.HTTPRequestEntityTooLarge) -> str:
    """One of `exporters.series.server.INVALID_REASONS`."""
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return "too_large"
    return _BY_CODE.get(error.code or "", "body" if error.param is None else "field")
