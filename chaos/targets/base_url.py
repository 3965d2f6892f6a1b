"""The base URL of a service, as a target's section of an experiment file names it."""

from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from loadtests.endpoint import Endpoint


def _base_url(text: str) -> str:
    try:
        Endpoint.parse(text)
    except ValueError as error:
        raise PydanticCustomError("url", "a base URL such as http://127.0.0.1:8000") from error
    return text


BaseUrl = Annotated[str, AfterValidator(_base_url)]
