"""Whether a fault is in force on a cluster, or over: by pods, requests and process tables, not by Chaos Mesh's word."""
