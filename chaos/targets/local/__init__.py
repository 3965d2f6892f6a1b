"""The local target: a Deployment's worth of processes on this machine, without Kubernetes or root."""
