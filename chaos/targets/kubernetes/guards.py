"""What must hold before a run touches a namespace: it may be shaken, and Chaos Mesh is there to do it."""

from chaos.errors import AftershockError, InconclusiveError, InputError, RefusedError
from chaos.targets.kubernetes.api import Api
from chaos.targets.kubernetes.marks import GROUP
from chaos.targets.kubernetes.objects import CHAOS_MESH, FORBIDDEN, NOT_FOUND, ApiError, Collection, Place

ALLOWED = f"{GROUP}/allowed"
"""The annotation of a namespace whose owner agrees."""
PROTECTED = ("kube-system", "kube-public", "kube-node-lease", "chaos-mesh")
"""No annotation helps these: whoever shakes them shakes what is to undo it."""
_UNAUTHORIZED, _TOO_MANY = 401, 429
_CALL_S = 10.0


def require_allowed(api: Api, namespace: str) -> None:
    """See that a namespace may be shaken.

    Raises:
        RefusedError: it is protected, or its owner has not said so.
        InputError: there is no such namespace.
    """
    if namespace in PROTECTED:
        raise RefusedError(f"the namespace {namespace} is protected: nothing is injected there")
    try:
        found = api.get(_namespace(namespace), within_s=_CALL_S)
    except ApiError as error:
        raise refusal(error, "get", "namespaces", namespace) from error
    if found is None:
        raise InputError(f"target.kubernetes.namespace: there is none of this name: {namespace}")
    if (found["metadata"].get("annotations") or {}).get(ALLOWED) != "true":
        raise RefusedError(
            f"the namespace {namespace} is not annotated {ALLOWED}: its owner has not agreed to faults",
            hint=f"{api.kubectl} annotate namespace {namespace} {ALLOWED}=true",
        )


def require_chaos_mesh(api: Api) -> None:
    """See that Chaos Mesh's kinds are there.

    Raises:
        RefusedError: they are not.
    """
    try:
        kinds = api.kinds(CHAOS_MESH, "v1alpha1", within_s=_CALL_S)
    except ApiError as error:
        if error.status != NOT_FOUND:
            raise refusal(error, "get", f"/apis/{CHAOS_MESH}", "") from error
        kinds = ()
    if "podchaos" not in kinds:
        raise RefusedError(
            "Chaos Mesh is not installed in this cluster: it has none of its kinds",
            hint="docs/kubernetes.md says how to install it",
        )


def refusal(error: ApiError, verb: str, resource: str, namespace: str) -> AftershockError:
    """What an API server's refusal comes to for whoever runs the experiment."""
    if error.status == FORBIDDEN:
        where = f" in {namespace}" if namespace else ""
        return RefusedError(
            f"this account may not {verb} {resource}{where}: {error}",
            hint="apply deploy/kubernetes/rbac, or whatever Role of yours grants that",
        )
    if error.status == _UNAUTHORIZED:
        return RefusedError(f"the API server does not know this account: {error}", hint="log in again")
    if error.webhook:
        return InconclusiveError(f"Chaos Mesh's controller is away, so that nothing can be injected: {error}")
    if error.status == _TOO_MANY:
        return InconclusiveError(f"the API server is too busy to {verb} {resource}: {error}")
    if error.status:
        return InconclusiveError(f"{verb} {resource}: {error}")
    return InconclusiveError(f"{error}")


def _namespace(name: str) -> Place:
    return Place(Collection("", "v1", "namespaces", ""), name)
