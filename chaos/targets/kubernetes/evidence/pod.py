"""Whether a pod is hit, by what its API server says of the pod itself: not by what Chaos Mesh says it did. Pure.

A uid is one incarnation: a StatefulSet's pod comes back under its old name, and only the uid tells that it is another.
"""

from chaos.targets.effects import Crash, Effect, Nothing, Outage, Termination
from chaos.targets.kubernetes.pods import Container, Pod

Seen = tuple[bool, str]
"""Whether it is as was looked for, and what was seen."""


def hit(effect: Effect, before: Pod, now: Pod | None) -> Seen:
    """Whether an effect on a pod itself is there; `now` is the same incarnation, None where it is gone."""
    match effect:
        case Termination():
            return _deleted(before, now)
        case Crash(names):
            return _crashed(names, before, now)
        case Outage():
            return _down(before, now)
        case Nothing():
            return _unchanged(before, now)
        case _:
            return False, f"nothing of {type(effect).__name__} shows in the pod"


def over(effect: Effect, before: Pod, now: Pod | None) -> Seen:
    """Whether an effect that lasts is over for a pod; one that is gone bears nothing any more."""
    if now is None:
        return True, f"uid {before.uid} is gone"
    if isinstance(effect, Outage):
        images, used = _images(before), _images(now)
        back = images == used
        return back, f"its image is {', '.join(used)}{' again' if back else ''}, its container {now.how}"
    return True, _same(now)


def _deleted(before: Pod, now: Pod | None) -> Seen:
    if now is None:
        return True, f"uid {before.uid} is gone"
    if now.terminating and not before.terminating:
        return True, f"uid {before.uid} has a deletionTimestamp"
    return False, f"uid {before.uid} is there, and nobody deletes it"


def _crashed(names: tuple[str, ...], before: Pod, now: Pod | None) -> Seen:
    if now is None:
        return False, f"uid {before.uid} is gone: its containers were to crash, and it was to stay"
    pairs = [
        (old, new)
        for old, new in zip(before.containers, now.containers, strict=False)
        if not names or old.name in names
    ]
    seen = bool(pairs) and all(_started_anew(old, new) for old, new in pairs)
    said = ", ".join(
        f"{new.name}: {old.restarts} restarts before, {new.restarts} now, {new.ended or 'none of them ended'}"
        for old, new in pairs
    )
    return seen, said or f"it has no container {' or '.join(names)}"


def _started_anew(old: Container, new: Container) -> bool:
    """Whether what ran before has ended: by another id, another count, or the end of the one there was."""
    return new.restarts > old.restarts or (old.running and not new.running and bool(new.ended or new.waits))


def _down(before: Pod, now: Pod | None) -> Seen:
    if now is None:
        return False, f"uid {before.uid} is gone: it was to stay"
    swapped = _images(before) != _images(now)
    again = now.restarts > before.restarts or not now.running
    ready = "ready" if now.ready else "not ready"
    said = f"its image is {', '.join(_images(now))}, its container {now.how}, and it is {ready}"
    return swapped and again and not now.ready, said


def _unchanged(before: Pod, now: Pod | None) -> Seen:
    if now is None:
        return False, f"uid {before.uid} is gone"
    same = (now.restarts, now.terminating, _images(now)) == (
        before.restarts,
        before.terminating,
        _images(before),
    )
    return same and now.ready == before.ready, _same(now)


def _same(now: Pod) -> str:
    return f"uid {now.uid} is there, {now.restarts} restarts, {'' if now.ready else 'not '}ready"


def _images(pod: Pod) -> tuple[str, ...]:
    return tuple(each.image for each in pod.containers)
