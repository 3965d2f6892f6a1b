"""When something recurs: `*/5 * * * *`, seconds in front of it if wanted, `@hourly`, `@every 1m30s`.

Our own, because the accept set must be that of Chaos Mesh's parser (robfig/cron, v3) and no parser for Python has it:
`@every`, `?`, seconds that come first, no 7 for Sunday, `5/15` up to the greatest value, and its rule for days.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from chaos.reading.quantities import go_atoi, go_duration_ns

CRON = "five or six fields such as '*/5 * * * *', or one of @hourly, @daily, @weekly, @monthly, @yearly, @every 30s"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_YEARS = 5
"""Beyond which nothing is looked for."""
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Every:
    """A fixed time apart, from whenever it begins."""

    seconds: int

    def after(self, start: datetime) -> Iterator[datetime]:
        """Every time after this one, in order, without end."""
        while True:
            start += timedelta(seconds=self.seconds)
            yield start


@dataclass(frozen=True, slots=True)
class _Field:
    values: frozenset[int]
    everything: bool
    """Written as `*` or `?`."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """At these times of day, on these days."""

    second: _Field
    minute: _Field
    hour: _Field
    day: _Field
    month: _Field
    weekday: _Field

    def after(self, start: datetime) -> Iterator[datetime]:
        """Every time after this one, in order, for five years."""
        times = [
            time(hour, minute, second)
            for hour in sorted(self.hour.values)
            for minute in sorted(self.minute.values)
            for second in sorted(self.second.values)
        ]
        for days in range(366 * _YEARS):
            day = start.date() + timedelta(days=days)
            if self._on(datetime.combine(day, time())):
                moments = (datetime.combine(day, at) for at in times)
                yield from (moment for moment in moments if moment > start)

    def _on(self, day: datetime) -> bool:
        if day.month not in self.month.values:
            return False
        by_date = day.day in self.day.values
        by_weekday = day.isoweekday() % 7 in self.weekday.values
        # Of two that are both restricted, either is enough.
        either = not (self.day.everything or self.weekday.everything)
        return by_date or by_weekday if either else by_date and by_weekday


def parse(text: str) -> Every | Calendar:
    """What a text says about when.

    Raises:
        ValueError: saying what is wrong with it.
    """
    if text.startswith(("TZ=", "CRON_TZ=")):
        zone, blank, text = text.partition(" ")
        _require_zone(zone.partition("=")[2])
        if not blank:
            raise ValueError("a time zone and nothing else")
        text = text.strip()
    if text.startswith("@every "):
        seconds = go_duration_ns(text.removeprefix("@every ")) // _SECOND_NS
        return Every(max(1, seconds))
    if text.startswith("@") and text not in _DESCRIPTORS:
        raise ValueError(f"unknown word {text!r}")
    fields = _DESCRIPTORS.get(text, text).split()
    if not fields:
        raise ValueError("empty")
    if len(fields) not in (5, 6):
        raise ValueError(f"{len(fields)} fields")
    second, minute, hour, day, month, weekday = fields if len(fields) == 6 else ("0", *fields)
    return Calendar(
        second=_field(second, 0, 59),
        minute=_field(minute, 0, 59),
        hour=_field(hour, 0, 23),
        day=_field(day, 1, 31),
        month=_field(month, 1, 12, dict(zip(_MONTHS, range(1, 13), strict=True))),
        weekday=_field(weekday, 0, 6, dict(zip(_DAYS, range(7), strict=True))),
    )


def _require_zone(name: str) -> None:
    try:
        ZoneInfo(name or "UTC")
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name!r}") from error


def _field(text: str, least: int, most: int, names: dict[str, int] | None = None) -> _Field:
    values: set[int] = set()
    everything = False
    for item in filter(None, text.split(",")):
        span, *steps = item.split("/")
        first, *rest = span.split("-")
        starred = first in ("*", "?")
        start = least if starred else _number(first, names or {})
        if len(rest) > 1 and not starred:
            raise ValueError(f"too many '-' in {item!r}")
        end = most if starred else _number(rest[0], names or {}) if rest else start
        if len(steps) > 1:
            raise ValueError(f"too many '/' in {item!r}")
        step = _number(steps[0], {}) if steps else 1
        if steps and not rest:
            end = most
        if not least <= start <= end <= most or step == 0:
            raise ValueError(f"{item!r} is not within {least}-{most}")
        everything |= starred and step == 1
        values.update(range(start, end + 1, step))
    return _Field(frozenset(values), everything)


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    number = go_atoi(text)
    if number < 0:
        raise ValueError(f"a negative number: {text!r}")
    return number
