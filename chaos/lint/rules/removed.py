"""Rules on APIs that Kubernetes and others no longer serve."""

from collections.abc import Iterator

from chaos.lint.objects import Inventory, Object
from chaos.lint.rule import rule
from chaos.reading.documents import Problem

_REMOVED: dict[str, tuple[tuple[int, int], str]] = {
    "policy/v1beta1 PodSecurityPolicy": ((1, 25), "the labels of Pod Security Admission on the namespace"),
    "policy/v1beta1 PodDisruptionBudget": ((1, 25), "policy/v1"),
    "batch/v1beta1 CronJob": ((1, 25), "batch/v1"),
    "autoscaling/v2beta1 HorizontalPodAutoscaler": ((1, 25), "autoscaling/v2"),
    "autoscaling/v2beta2 HorizontalPodAutoscaler": ((1, 26), "autoscaling/v2"),
    "discovery.k8s.io/v1beta1 EndpointSlice": ((1, 25), "discovery.k8s.io/v1"),
    "events.k8s.io/v1beta1 Event": ((1, 25), "events.k8s.io/v1"),
    "node.k8s.io/v1beta1 RuntimeClass": ((1, 25), "node.k8s.io/v1"),
    "storage.k8s.io/v1beta1 CSIStorageCapacity": ((1, 27), "storage.k8s.io/v1"),
    "extensions/v1beta1 Ingress": ((1, 22), "networking.k8s.io/v1"),
    "networking.k8s.io/v1beta1 Ingress": ((1, 22), "networking.k8s.io/v1"),
    "networking.k8s.io/v1beta1 IngressClass": ((1, 22), "networking.k8s.io/v1"),
    "scheduling.k8s.io/v1beta1 PriorityClass": ((1, 22), "scheduling.k8s.io/v1"),
    "coordination.k8s.io/v1beta1 Lease": ((1, 22), "coordination.k8s.io/v1"),
    "apiextensions.k8s.io/v1beta1 CustomResourceDefinition": ((1, 22), "apiextensions.k8s.io/v1"),
    "apiregistration.k8s.io/v1beta1 APIService": ((1, 22), "apiregistration.k8s.io/v1"),
    "certificates.k8s.io/v1beta1 CertificateSigningRequest": ((1, 22), "certificates.k8s.io/v1"),
    "extensions/v1beta1 PodSecurityPolicy": ((1, 16), "the labels of Pod Security Admission"),
    "extensions/v1beta1 NetworkPolicy": ((1, 16), "networking.k8s.io/v1"),
}
_REMOVED |= {
    f"{version} {kind}": ((1, 16), "apps/v1")
    for version in ("extensions/v1beta1", "apps/v1beta1", "apps/v1beta2")
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
}
_REMOVED |= {
    f"rbac.authorization.k8s.io/v1beta1 {kind}": ((1, 22), "rbac.authorization.k8s.io/v1")
    for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
}
_REMOVED |= {
    f"admissionregistration.k8s.io/v1beta1 {kind}": ((1, 22), "admissionregistration.k8s.io/v1")
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
}
_REMOVED |= {
    f"flowcontrol.apiserver.k8s.io/{version} {kind}": (since, "flowcontrol.apiserver.k8s.io/v1")
    for version, since in (("v1beta1", (1, 26)), ("v1beta2", (1, 29)), ("v1beta3", (1, 32)))
    for kind in ("FlowSchema", "PriorityLevelConfiguration")
}
_REMOVED |= {
    f"storage.k8s.io/v1beta1 {kind}": ((1, 22), "storage.k8s.io/v1")
    for kind in ("CSIDriver", "CSINode", "StorageClass", "VolumeAttachment")
}
_ELSEWHERE = {
    "karpenter.sh/v1alpha5 Provisioner": "karpenter.sh/v1 NodePool",
    "karpenter.sh/v1beta1 NodePool": "karpenter.sh/v1",
    "monitoring.coreos.com/v1alpha1 PrometheusRule": "monitoring.coreos.com/v1",
    "monitoring.coreos.com/v1alpha1 ServiceMonitor": "monitoring.coreos.com/v1",
    "serving.knative.dev/v1alpha1 Service": "serving.knative.dev/v1",
    "serving.knative.dev/v1beta1 Service": "serving.knative.dev/v1",
    "keda.k8s.io/v1alpha1 ScaledObject": "keda.sh/v1alpha1",
}


@rule("error")
def removed_api(each: Object, inventory: Inventory) -> Iterator[Problem]:
    """An object is of an API that the version of Kubernetes still serves.

    Of one that is gone the API server says "no matches for kind", and whatever it was to enforce
    (PodSecurityPolicy: who may run as root) is enforced by nobody. Source: Kubernetes' deprecated API
    migration guide.
    """
    name = f"{each.api_version} {each.kind}"
    since, instead = _REMOVED.get(name, (None, ""))
    if since is not None and inventory.version >= since:
        release = ".".join(map(str, since))
        complaint = f"expected {instead}: {each.kind} of this API is gone since Kubernetes {release}"
        yield Problem(("apiVersion",), complaint, each.api_version)
    if name in _ELSEWHERE:
        yield Problem(("apiVersion",), f"expected {_ELSEWHERE[name]}", each.api_version)
