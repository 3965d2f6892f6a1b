"""`aftershock lint`: Kubernetes manifests of an inference cluster, by schemas, and by rules of what goes wrong."""
