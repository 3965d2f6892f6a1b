"""Errors as OpenAI's clients expect them: an HTTP status and `{"error": {message, type, param, code}}`."""

from typing import Any

RETRY_AFTER_S = 1


class ApiError(Exception):
    """One refused or failed request; raised anywhere below a handler, rendered in one place."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object of the response, or of an event inside a stream."""
        return {
            "error": {"message": self.message, "type": self._type, "param": self.param, "code": self.code}
        }

    @property
    def headers(self) -> dict[str, str]:
        """A client may come back soon when the replica was merely full or leaving."""
        return {"Retry-After": str(RETRY_AFTER_S)} if self.status in (429, 503) else {}

    @property
    def _type(self) -> str:
        if self.status == 429:
            return "rate_limit_error"
        return "invalid_request_error" if self.status < 500 else "server_error"


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """400: the request can never succeed as it is."""
    return ApiError(400, message, code=code, param=param)


def queue_full() -> ApiError:
    """429: as many requests wait as may."""
    return ApiError(429, "The queue is full; try again later.", code="queue_full")


def unavailable(reason: str) -> ApiError:
    """503: this replica takes no requests now, another may."""
    return ApiError(503, f"This replica takes no requests: {reason}.", code="unavailable")


def timed_out(after_s: float) -> ApiError:
    """504: the request was not finished in time."""
    return ApiError(504, f"The request was not finished within {after_s:g} s.", code="timeout")


def failed() -> ApiError:
    """500: the engine failed while the request ran."""
    return ApiError(500, "The engine failed.", code="engine_failed")
