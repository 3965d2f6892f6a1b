"""The base URL of a service, as a target's section of an experiment file names it."""

from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from loadtests.endpoint import Endpoint


def _base_url(text: str) -> str:
    try:
        keyed = Endpoint.parse(text).api_key
    except ValueError:
        raise PydanticCustomError("url", "a base URL such as http://127.0.0.1:8000") from None
    if keyed:  # a run folder is shown to others, and holds this text
        raise PydanticCustomError("url", "a URL without a key: name a variable in api_key_env")
    return text


BaseUrl = Annotated[str, AfterValidator(_base_url)]
