"""Manifests of an inference cluster, whole ones and parts of some: what the cases of the lint are written in."""

from textwrap import indent

PLAIN = "image: example.org/app:1.2\nresources: {requests: {cpu: 1, memory: 1Gi}}\n"
MODEL = "image: vllm/vllm-openai:v0.11.0\nresources: {limits: {cpu: 8, memory: 64Gi, nvidia.com/gpu: 1}}\n"
LIVE = "livenessProbe: {httpGet: {path: /health, port: 8000}}\n"
STARTUP = "startupProbe: {httpGet: {path: /health, port: 8000}, failureThreshold: 120}\n"


def deployment(container: str = PLAIN, pod: str = "", spec: str = "", labels: str = "{app: model}") -> str:
    """A Deployment: lines of its container, of its pod's spec, and of its own."""
    return (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: model}\nspec:\n"
        "  selector: {matchLabels: {app: model}}\n"
        + indent(spec, "  ")
        + f"  template:\n    metadata: {{labels: {labels}}}\n    spec:\n"
        + indent("terminationGracePeriodSeconds: 120\n" if "terminationGrace" not in pod else "", "      ")
        + indent(pod, "      ")
        + "      containers:\n        - name: server\n"
        + indent(container, "          ")
    )


def several(*texts: str) -> str:
    """Documents of one file."""
    return "---\n".join(texts)


def hpa(spec: str) -> str:
    """A HorizontalPodAutoscaler of the Deployment."""
    head = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: model}\nspec:\n"
    target = "scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: model}\n"
    return head + indent(target + spec, "  ")


def scaled(trigger: str, spec: str = "maxReplicaCount: 8\n") -> str:
    """A ScaledObject of the Deployment."""
    head = "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: model}\nspec:\n"
    return head + indent(f"scaleTargetRef: {{name: model}}\n{spec}triggers:\n- {trigger}\n", "  ")


def budget(spec: str) -> str:
    """A PodDisruptionBudget of the Deployment's pods."""
    head = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: model}\nspec:\n"
    return head + indent(spec + "selector: {matchLabels: {app: model}}\n", "  ")


def destination(policy: str) -> str:
    """A DestinationRule with this traffic policy."""
    head = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: model}\nspec:\n  host: model\n"
    return head + "  trafficPolicy:\n" + indent(policy, "    ")


def config_map(**files: str) -> str:
    """A ConfigMap with these files."""
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata:\n"
    return text + "".join(
        f"  {name.replace('_', '-')}: |\n{indent(file, '    ')}" for name, file in files.items()
    )


def job(
    name: str = "load",
    spec: str = "ttlSecondsAfterFinished: 600\nactiveDeadlineSeconds: 900\n",
    metadata: str = "",
) -> str:
    """A Job."""
    head = f"apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n{indent(metadata, '  ')}spec:\n"
    template = "template:\n  spec:\n    restartPolicy: Never\n    containers:\n      - name: load\n"
    template += indent(PLAIN, "        ")
    return head + indent(spec + template, "  ")


TLS = "tls: {mode: ISTIO_MUTUAL}\n"
DETECTION = "outlierDetection: {consecutive5xxErrors: 5, maxEjectionPercent: 50}\n"
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: model, namespace: inference}
spec: {selector: {app: model}, ports: [{port: 8000}]}
"""
PRIORITY = "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: serving}\nvalue: 1000\n"
QUOTA = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: gpus}\nspec:\n  hard: {KEY: 8}\n"
POOL = """\
apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: gpus}
spec:
  LIMITS
  template:
    spec:
      nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: gpus}
      requirements: [{key: karpenter.sh/capacity-type, operator: In, values: [spot]}]
"""
GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  servers:
    - port: {number: 443, name: https, protocol: HTTPS}
      hosts: [llm.example]
      tls: {mode: SIMPLE, credentialName: front-tlsMIN}
"""
PEERS = """\
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: all}
spec: {mtls: {mode: MODE}}
"""
SPREAD = """\
topologySpreadConstraints:
  - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway}
"""
CONTEXT = """\
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.minimum_version = ssl.TLSVersion.VERSION
"""
SCRAPE_CONFIG = """\
apiVersion: monitoring.coreos.com/v1alpha1
kind: ScrapeConfig
metadata: {name: model}
spec: {staticConfigs: [{targets: ['TARGET:8000']}]}
"""
POD_SECURITY_POLICY = """\
apiVersion: policy/v1beta1
kind: PodSecurityPolicy
metadata: {name: restricted}
spec: {privileged: false}
"""
NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata: {name: inference, labels: {pod-security.kubernetes.io/enforce: restricted}}
"""
SCRAPE = "scrape_configs:\n  - job_name: model\n    static_configs: [{targets: ['TARGET:8000']}]\n"
RESOURCE = "metrics: [{type: Resource, resource: {name: NAME, target: {type: Utilization, averageUtilization: 80}}}]\n"
PROMETHEUS = (
    "{type: prometheus, metadata: {serverAddress: 'http://prometheus:9090', query: QUERY, threshold: '5'}}"
)
WAITING = PROMETHEUS.replace("QUERY", "sum(ds_requests_waiting)")

HEADLESS = SERVICE.replace(
    "{selector: {app: model}, ports: [{port: 8000}]}", "{clusterIP: None, selector: {app: model}}"
)
MONITOR = """\
apiVersion: monitoring.coreos.com/v1
kind: KIND
metadata: {name: model}
spec: {selector: {matchLabels: {app: model}}, ENDPOINTS: [{port: metrics}]}
"""
POD_MONITOR = MONITOR.replace("KIND", "PodMonitor").replace("ENDPOINTS", "podMetricsEndpoints")
SERVICE_MONITOR = MONITOR.replace("KIND", "ServiceMonitor").replace("ENDPOINTS", "endpoints")
LABELLED = SERVICE.replace("namespace: inference}", "labels: {app: model}}").replace(
    "port: 8000", "name: metrics, port: 1"
)
METRICS = "ports: [{name: metrics, containerPort: 8081}]\n"
