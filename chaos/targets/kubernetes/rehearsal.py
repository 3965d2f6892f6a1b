"""A run without a run: every object that it would create, checked by the API server as if it were created."""

from collections.abc import Iterator, Sequence

from chaos.errors import InputError
from chaos.targets.kubernetes import guards
from chaos.targets.kubernetes.api import Api
from chaos.targets.kubernetes.manifests import chaos_object
from chaos.targets.kubernetes.marks import GROUP
from chaos.targets.kubernetes.objects import ApiError, place_of
from chaos.targets.kubernetes.settings import Settings
from chaos.targets.options import Rehearsed

_BAD_REQUEST, _INVALID = 400, 422
_CALL_S = 10.0
_RUN = "dry-run-000000000000"


def rehearse(api: Api, settings: Settings, faults: Sequence[Rehearsed]) -> Iterator[str]:
    """A line for each object that would be taken.

    Raises:
        InputError: one would not.
        AftershockError: a guard objects, or the API server does not say.
    """
    guards.require_allowed(api, settings.namespace)
    guards.require_chaos_mesh(api)
    for fault in faults:
        if fault.manifest["apiVersion"].startswith(GROUP):
            yield f"{fault.occurrence}: nothing would be created"
            continue
        body = chaos_object(
            fault.manifest,
            namespace=settings.namespace,
            run_id=_RUN,
            occurrence=fault.occurrence,
            victims=fault.victims,
        )
        place = place_of(body)
        try:
            api.rehearse(place.collection, body, within_s=_CALL_S)
        except ApiError as error:
            if error.status in (_BAD_REQUEST, _INVALID):
                raise InputError(f"{fault.occurrence}: the API server would not take it: {error}") from error
            raise guards.refusal(error, "create", place.collection.resource, settings.namespace) from error
        yield f"{fault.occurrence}: the API server would take {body['kind']} {settings.namespace}/{place.name}"
