"""For each rule of `aftershock lint`: manifests in which it does not hold, and the nearest ones in which it does."""

from dataclasses import dataclass

from tests.support.lint_manifests import (
    CONTEXT,
    DETECTION,
    GATEWAY,
    HEADLESS,
    LABELLED,
    LIVE,
    METRICS,
    MODEL,
    NAMESPACE,
    PEERS,
    PLAIN,
    POD_MONITOR,
    POD_SECURITY_POLICY,
    POOL,
    PRIORITY,
    PROMETHEUS,
    QUOTA,
    RESOURCE,
    SCRAPE,
    SCRAPE_CONFIG,
    SERVICE,
    SERVICE_MONITOR,
    SPREAD,
    STARTUP,
    TLS,
    WAITING,
    budget,
    config_map,
    deployment,
    destination,
    hpa,
    job,
    scaled,
    several,
)


@dataclass(frozen=True)
class Case:
    """One trap: a rule, what falls into it, what does not, and a word of what is said."""

    rule: str
    bad: str
    good: str
    says: str = ""


CASES = (
    Case("service-of-nobody", SERVICE, several(SERVICE, deployment()), "app=model"),
    Case("service-of-nobody", SERVICE, SERVICE.replace("{app: model}", "{job-name: model}")),
    Case(
        "service-of-nobody", SERVICE, SERVICE.replace("{app: model}", "{ray.io/cluster: model, app: model}")
    ),
    Case("monitor-of-nobody", POD_MONITOR, several(POD_MONITOR, deployment(PLAIN + METRICS)), "app=model"),
    Case("monitor-of-nobody", several(SERVICE_MONITOR, SERVICE), several(SERVICE_MONITOR, LABELLED)),
    Case(
        "monitor-port",
        several(POD_MONITOR, deployment(PLAIN + METRICS.replace("metrics", "http"))),
        several(POD_MONITOR, deployment(PLAIN + METRICS)),
        "ports (http), got metrics",
    ),
    Case(
        "monitor-port",
        several(SERVICE_MONITOR, LABELLED.replace("metrics", "http")),
        several(SERVICE_MONITOR, LABELLED),
    ),
    Case(
        "required-field",
        deployment(PLAIN.replace("image: example.org/app:1.2\n", "")),
        deployment(),
        "an image",
    ),
    Case(
        "required-field",
        job().replace("restartPolicy: Never", "restartPolicy: Always"),
        job(),
        "Never or OnFailure",
    ),
    Case("required-field", SERVICE.replace(", ports: [{port: 8000}]", ""), HEADLESS, "at least one port"),
    Case(
        "required-field",
        hpa("maxReplicas: 8\n").replace("apiVersion: apps/v1, ", ""),
        hpa("maxReplicas: 8\n"),
        "scaleTargetRef.apiVersion",
    ),
    Case(
        "required-field",
        deployment().replace("{matchLabels: {app: model}}", "{}"),
        deployment(),
        "spec.selector",
    ),
    Case(
        "required-field",
        deployment()[: deployment().index("    spec:")] + "    spec: {containers: []}\n",
        deployment(),
        "at least one container",
    ),
    Case("job-name", job().replace("  name: load\n", "", 1), job(), "or generateName"),
    Case("selector-without-labels", deployment(labels="{name: model}"), deployment(), "app: model"),
    Case(
        "liveness-without-startup", deployment(MODEL + LIVE), deployment(MODEL + LIVE + STARTUP), "after 30 s"
    ),
    Case(
        "liveness-without-startup",
        deployment(MODEL + LIVE.replace("httpGet", "initialDelaySeconds: 120, httpGet")),
        deployment(PLAIN + LIVE),
    ),
    Case(
        "model-without-readiness",
        deployment(MODEL + "ports: [{containerPort: 8000}]\n"),
        deployment(
            MODEL + "ports: [{containerPort: 8000}]\nreadinessProbe: {httpGet: {path: /health, port: 8000}}\n"
        ),
    ),
    Case(
        "grace-shorter-than-drain",
        deployment(
            PLAIN + "lifecycle: {preStop: {sleep: {seconds: 30}}}\n", "terminationGracePeriodSeconds: 30\n"
        ),
        deployment(
            PLAIN + "lifecycle: {preStop: {sleep: {seconds: 15}}}\n", "terminationGracePeriodSeconds: 30\n"
        ),
        "preStop of server",
    ),
    Case(
        "grace-shorter-than-drain",
        deployment(
            PLAIN + "lifecycle: {preStop: {exec: {command: [sh, -c, sleep 45]}}}\n",
            "terminationGracePeriodSeconds: 40\n",
        ),
        deployment(
            PLAIN + "lifecycle: {preStop: {exec: {command: [sh, -c, drain]}}}\n",
            "terminationGracePeriodSeconds: 40\n",
        ),
    ),
    Case(
        "grace-of-a-model",
        deployment(MODEL).replace("      terminationGracePeriodSeconds: 120\n", ""),
        deployment(MODEL),
    ),
    Case("unpinned-image", deployment(PLAIN.replace(":1.2", ":latest")), deployment(PLAIN)),
    Case(
        "unpinned-image",
        deployment(PLAIN.replace("example.org/app:1.2", "example.org:5000/app")),
        deployment(PLAIN.replace(":1.2", f"@sha256:{'0' * 64}")),
    ),
    Case(
        "no-spread",
        deployment(spec="replicas: 3\n"),
        deployment(
            spec="replicas: 3\n",
            pod=SPREAD,
        ),
    ),
    Case("no-requests", deployment("image: example.org/app:1.2\n"), deployment()),
    Case(
        "gpu-request-not-limit",
        deployment(
            MODEL.replace("limits: {", "requests: {nvidia.com/gpu: 1}, limits: {").replace(
                "nvidia.com/gpu: 1}}", "nvidia.com/gpu: 2}}"
            )
        ),
        deployment(MODEL.replace("limits: {", "requests: {nvidia.com/gpu: 1}, limits: {")),
    ),
    Case(
        "gpu-request-not-limit",
        deployment(MODEL.replace("limits", "requests")),
        deployment(MODEL),
        "stands in the limits",
    ),
    Case(
        "gpu-request-not-limit",
        deployment(MODEL.replace("gpu: 1", "gpu: 500m")),
        deployment(MODEL.replace("gpu: 1", "gpu: '4'")),
    ),
    Case("gpu-not-requested", deployment(MODEL.replace(", nvidia.com/gpu: 1", "")), deployment(MODEL)),
    Case(
        "gpu-not-requested",
        deployment(MODEL.replace(", nvidia.com/gpu: 1", "").replace("vllm/vllm-openai", "lmsysorg/sglang")),
        job().replace("example.org/app:1.2", "lmsysorg/sglang:v0.5"),
    ),
    Case(
        "gpu-not-requested",
        deployment(PLAIN + "env: [{name: NVIDIA_VISIBLE_DEVICES, value: all}]\n"),
        deployment(PLAIN.replace("example.org/app", "vllm/vllm-openai-cpu")),
    ),
    Case(
        "gpu-quota",
        QUOTA.replace("KEY", "limits.nvidia.com/gpu"),
        QUOTA.replace("KEY", "requests.nvidia.com/gpu"),
    ),
    Case("gpu-quota", QUOTA.replace("KEY", "nvidia.com/gpu"), QUOTA.replace("KEY", "limits.cpu")),
    Case(
        "hpa-resource-metric",
        hpa("maxReplicas: 8\n" + RESOURCE.replace("NAME", "nvidia.com/gpu")),
        hpa("maxReplicas: 8\n" + RESOURCE.replace("NAME", "cpu")),
        "expected cpu or memory, got nvidia.com/gpu",
    ),
    Case(
        "hpa-without-maximum",
        hpa("minReplicas: 2\n"),
        hpa("minReplicas: 2\nmaxReplicas: 8\n"),
        "spec.maxReplicas",
    ),
    Case(
        "hpa-without-maximum",
        hpa("minReplicas: 4\nmaxReplicas: 3\n"),
        hpa("minReplicas: 3\nmaxReplicas: 3\n"),
    ),
    Case("scaledobject-without-maximum", scaled(WAITING, ""), scaled(WAITING)),
    Case("keda-gpu-resource", scaled("{type: nvidia.com/gpu, metadata: {value: '80'}}"), scaled(WAITING)),
    Case(
        "keda-gpu-resource",
        scaled("{type: kubernetes-resource, metadata: {resourceName: nvidia.com/gpu, value: '80'}}"),
        scaled("{type: cpu, metricType: Utilization, metadata: {value: '80'}}"),
    ),
    Case(
        "scaling-on-utilisation",
        scaled(PROMETHEUS.replace("QUERY", "avg(DCGM_FI_DEV_GPU_UTIL)")),
        scaled(WAITING),
    ),
    Case(
        "two-scalers",
        several(hpa("maxReplicas: 8\n"), scaled(WAITING)),
        several(hpa("maxReplicas: 8\n"), scaled(WAITING).replace("name: model}", "name: other}")),
    ),
    Case(
        "nodepool-without-limits",
        POOL.replace("LIMITS\n", "weight: 1\n"),
        POOL.replace("LIMITS", "limits: {nvidia.com/gpu: 8}"),
    ),
    Case("budget-allows-nothing", budget("maxUnavailable: 0\n"), budget("maxUnavailable: 1\n")),
    Case("budget-allows-nothing", budget("minAvailable: 100%\n"), budget("minAvailable: 70%\n")),
    Case(
        "budget-allows-nothing",
        several(budget("minAvailable: 1\n"), deployment(spec="replicas: 1\n")),
        several(budget("minAvailable: 1\n"), deployment(spec="replicas: 2\n")),
        "the 1 replicas",
    ),
    Case(
        "budget-allows-nothing",
        several(budget("minAvailable: 1\n"), deployment()),
        several(budget("minAvailable: 1\n"), deployment(), hpa("minReplicas: 2\nmaxReplicas: 8\n")),
    ),
    Case("budget-allows-everything", budget("minAvailable: 0\n"), budget("minAvailable: 1\n")),
    Case("budget-allows-everything", budget("maxUnavailable: 100%\n"), budget("maxUnavailable: 30%\n")),
    Case(
        "budget-allows-everything",
        several(budget("maxUnavailable: 2\n"), deployment(spec="replicas: 2\n")),
        several(budget("maxUnavailable: 1\n"), deployment(spec="replicas: 2\n")),
    ),
    Case(
        "budget-of-nobody",
        budget("maxUnavailable: 1\n").replace("selector: {matchLabels: {app: model}}", ""),
        budget("maxUnavailable: 1\n"),
    ),
    Case(
        "unused-priority-class",
        several(PRIORITY, deployment()),
        several(PRIORITY, deployment(pod="priorityClassName: serving\n")),
    ),
    Case("unused-priority-class", PRIORITY, PRIORITY + "globalDefault: true\n"),
    Case(
        "unknown-priority-class",
        deployment(pod="priorityClassName: serving\n"),
        deployment(pod="priorityClassName: system-node-critical\n"),
    ),
    Case("job-name", job('"load-${USER}"'), job("load-nightly"), "without anybody's input"),
    Case("job-name", job("Load_Test"), job("load-test")),
    Case("job-name", job("load.test"), job().replace("name: load\n", "generateName: load-\n", 1)),
    Case("object-name", SERVICE.replace("name: model", "name: My_Model"), SERVICE),
    Case("job-never-cleaned-up", job(spec="activeDeadlineSeconds: 900\n"), job()),
    Case(
        "job-never-cleaned-up",
        job(spec="activeDeadlineSeconds: 900\n"),
        job(
            spec="activeDeadlineSeconds: 900\n",
            metadata="annotations: {helm.sh/hook-delete-policy: hook-succeeded}\n",
        ),
    ),
    Case("job-without-deadline", job(spec="ttlSecondsAfterFinished: 600\n"), job()),
    Case(
        "istio-consecutive-errors",
        destination(TLS + DETECTION.replace("consecutive5xxErrors", "consecutiveErrors")),
        destination(TLS + DETECTION),
    ),
    Case(
        "istio-ejection-share",
        destination(TLS + DETECTION.replace("50", "10")),
        destination(TLS + DETECTION.replace("50", "30")),
    ),
    Case(
        "istio-ejection-share",
        destination(TLS + "outlierDetection: {interval: 5s}\n"),
        destination(TLS + "connectionPool: {tcp: {maxConnections: 9}}\n"),
        "got nothing",
    ),
    Case(
        "istio-ejection-share",
        destination(TLS + DETECTION.replace("50", "50, minHealthPercent: 80")),
        destination(TLS + DETECTION.replace("50", "50, minHealthPercent: 50")),
    ),
    Case(
        "istio-local-origin",
        destination(TLS + DETECTION.replace("50", "50, consecutiveLocalOriginFailures: 3")),
        destination(
            TLS
            + DETECTION.replace(
                "50", "50, consecutiveLocalOriginFailures: 3, splitExternalLocalOriginErrors: true"
            )
        ),
    ),
    Case("istio-no-tls", destination(DETECTION), destination(DETECTION + TLS), "spec.trafficPolicy.tls"),
    Case(
        "istio-no-tls",
        destination(
            TLS + "portLevelSettings: [{port: {number: 8000}, loadBalancer: {simple: LEAST_REQUEST}}]\n"
        ),
        destination(TLS + "portLevelSettings: [{port: {number: 8000}, tls: {mode: ISTIO_MUTUAL}}]\n"),
        "portLevelSettings[0].tls",
    ),
    Case("istio-no-tls", destination("tls: {mode: DISABLE}\n"), destination("tls: {mode: SIMPLE}\n")),
    Case("istio-plain-text", PEERS.replace("MODE", "PERMISSIVE"), PEERS.replace("MODE", "STRICT")),
    Case(
        "tls-before-1-3", GATEWAY.replace("MIN", ""), GATEWAY.replace("MIN", ", minProtocolVersion: TLSV1_3")
    ),
    Case(
        "tls-before-1-3",
        GATEWAY.replace("MIN", ", minProtocolVersion: TLSV1_2"),
        GATEWAY.replace("SIMPLE", "PASSTHROUGH").replace("MIN", ""),
    ),
    Case(
        "tls-before-1-3",
        config_map(nginx="server {\n  listen 443 ssl;\n  ssl_protocols TLSv1.2 TLSv1.3;\n}\n"),
        config_map(
            nginx="server {\n  listen 443 ssl;\n  # ssl_protocols TLSv1.2 TLSv1.3;\n  ssl_protocols TLSv1.3;\n}\n"
        ),
        "ssl_protocols TLSv1.2 TLSv1.3;",
    ),
    Case(
        "tls-before-1-3",
        config_map(nginx="server {\n  listen 443 ssl;\n}\n"),
        config_map(nginx="server {\n  listen 80;\n}\n"),
    ),
    Case(
        "tls-before-1-3",
        config_map(envoy="tls_params:\n  tls_minimum_protocol_version: TLSv1_2\n"),
        config_map(envoy="tls_params:\n  tls_minimum_protocol_version: TLSv1_3\n"),
    ),
    Case(
        "tls-before-1-3", config_map(ssl_protocols="TLSv1.2 TLSv1.3\n"), config_map(ssl_protocols="TLSv1.3\n")
    ),
    Case(
        "tls-before-1-3",
        config_map(serve=CONTEXT.replace("VERSION", "TLSv1_2")),
        config_map(serve=CONTEXT.replace("VERSION", "TLSv1_3")),
    ),
    Case(
        "tls-before-1-3",
        deployment(PLAIN + "args: [--tls-min-version, VersionTLS12]\n"),
        deployment(PLAIN + "args: [--tls-min-version, VersionTLS13]\n"),
    ),
    Case(
        "service-as-static-target",
        config_map(prometheus=SCRAPE.replace("TARGET", "model.inference.svc.cluster.local")),
        config_map(prometheus=SCRAPE.replace("TARGET", "model-0.model.inference.svc.cluster.local")),
        "'model.inference.svc.cluster.local:8000'",
    ),
    Case(
        "service-as-static-target",
        several(
            config_map(prometheus=SCRAPE.replace("TARGET", "model")),
            SERVICE,
            deployment(spec="replicas: 3\n"),
        ),
        several(
            config_map(prometheus=SCRAPE.replace("TARGET", "model")),
            SERVICE,
            deployment(spec="replicas: 1\n"),
        ),
    ),
    Case(
        "service-as-static-target",
        SCRAPE_CONFIG.replace("TARGET", "model.inference.svc"),
        SCRAPE_CONFIG.replace("TARGET", "gpu-7.example"),
    ),
    Case(
        "cache-key-with-time",
        config_map(nginx="proxy_cache_key $request_uri$msec;\n"),
        config_map(nginx="log_format main '$msec $request';\nproxy_cache_key $scheme$host$request_uri;\n"),
        "proxy_cache_key $request_uri$msec;",
    ),
    Case(
        "cache-key-with-time",
        config_map(server='cache_key = f"{prompt}:{time.time()}"\n'),
        config_map(server='cache_key = f"{model}:{sha256(prompt)}"\nstarted = time.time()\n'),
    ),
    Case(
        "cache-key-with-time",
        deployment(PLAIN + "env: [{name: CACHE_KEY_TEMPLATE, value: '{model}:{timestamp}'}]\n"),
        deployment(PLAIN + "env: [{name: CACHE_KEY_TEMPLATE, value: '{model}:{prompt_hash}'}]\n"),
    ),
    Case(
        "removed-api",
        POD_SECURITY_POLICY,
        NAMESPACE,
        "gone since Kubernetes 1.25",
    ),
    Case("removed-api", hpa("maxReplicas: 3\n").replace("/v2", "/v2beta2"), hpa("maxReplicas: 3\n"), "1.26"),
    Case(
        "removed-api",
        budget("maxUnavailable: 1\n").replace("/v1", "/v1beta1"),
        budget("maxUnavailable: 1\n"),
        "policy/v1",
    ),
)
