"""What a server says when it refuses, in a few words that may be shown to anybody: no key and no prompt in them."""

import json
import re
from typing import Any

_MOST_CHARACTERS = 160
_QUOTE_CHARACTERS = 20
"""So much of a prompt in a row is no coincidence."""
_SECRETS = re.compile(
    r"(?i)bearer\s+[^\s\"',}]+|\b(?:sk|pk|rk|gsk|hf|nvapi|xai|key)[-_][\w*.\-]{3,}[\w*\-]|\beyJ[\w-]{8,}\.[\w.-]+"
)
"""Keys as they are issued, shortened or starred out as some servers repeat them, and JSON web tokens."""
_KEY, _PROMPT = "[key]", "[prompt]"


def words_of(body: bytes) -> str:
    """The message of a refusal's body, whatever shape its server gives it; its beginning where it has none."""
    text = body.decode(errors="replace")
    try:
        said = _message(json.loads(text))
    except (ValueError, RecursionError):
        said = None
    return " ".join((said or text).split())


def shown(words: str, api_key: str, prompt: str) -> str:
    """Words of a server without the key and the prompt of the request that they answer, and of bounded length.

    Args:
        words: as they came, with or without a status before them.
        api_key: of the endpoint; empty where there is none.
        prompt: or the whole request's body; what of it is repeated word by word is left out.
    """
    text = words[: 4 * _MOST_CHARACTERS]
    if api_key:
        text = text.replace(api_key, _KEY)
    return _without_quotes(_SECRETS.sub(_KEY, text), prompt)[:_MOST_CHARACTERS]


def _message(body: Any) -> str | None:
    """Of `error` (an object with a message, or a text), `message`, or `detail` (which is a list from FastAPI)."""
    match body:
        case str():
            return body
        case {"error": inner} if inner and (found := _message(inner)):
            return found
        case {"message": str(text)} if text:
            return text
        case {"detail": [*entries]}:
            return "; ".join(found for each in entries if (found := _entry(each))) or None
        case {"detail": inner}:
            return _message(inner)
    return None


def _entry(entry: Any) -> str | None:
    """One complaint of FastAPI: where, and what; its `input` is what was sent, and left out."""
    match entry:
        case {"msg": str(text), "loc": [*where]}:
            return f"{'.'.join(map(str, where))}: {text}"
        case {"msg": str(text)} | str(text):
            return text
    return None


def _without_quotes(text: str, prompt: str) -> str:
    """The text with every stretch that the prompt has as well, from `_QUOTE_CHARACTERS` on, replaced."""
    kept, place = [], 0
    while place < len(text):
        end = place + _QUOTE_CHARACTERS
        if text[place:end] not in prompt or end > len(text):
            kept.append(text[place])
            place += 1
            continue
        while end < len(text) and text[place : end + 1] in prompt:
            end += 1
        kept.append(_PROMPT)
        place = end
    return "".join(kept)
