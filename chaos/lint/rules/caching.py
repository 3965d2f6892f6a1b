"""The rule on cache keys: nothing in them that is new each time."""

import re
from collections.abc import Iterator

from chaos.lint.objects import Inventory, Object
from chaos.lint.rule import rule
from chaos.lint.texts import settings, shown
from chaos.reading.documents import Problem

_KEY = re.compile(r"cache[_-]?key|key[_-]?template|hash_data", re.IGNORECASE)
_NEW_EACH_TIME = re.compile(
    r"\$\{?(time_iso8601|time_local|msec|date_gmt|date_local|request_id|request_time)\b|\bnow\b|time\.time|utcnow"
    r"|std\.time|timestamp|strftime|\$\(date|`date|%[YHs]\b|\{(date|time|ts|now)\b|\bepoch|\buuid|\brandom",
    re.IGNORECASE,
)


@rule("error")
def cache_key_with_time(each: Object, _: Inventory) -> Iterator[Problem]:
    """A cache key has no time in it, and nothing else that is new for each request.

    With one no request ever finds what another left: the hit ratio is 0, and the cache is full of what
    nobody will ask for again. Looked for in settings named cache key, whatever they belong to: nginx,
    Varnish, variables, arguments, fields.
    """
    for place, line in settings(each):
        name = _KEY.search(line)
        if name and _NEW_EACH_TIME.search(line, name.end()):
            yield Problem(place.key_path, f"expected no time in the key: {shown(line)}")
    for value in each.spec.walk():
        if _KEY.search(str(value.key_path[-1])) and _NEW_EACH_TIME.search(value.text):
            yield value.problem("expected no time in the key")
