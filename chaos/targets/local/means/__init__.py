"""What a local cluster can do to its replicas: a file for each effect, and `kinds.py`, the one list of them."""
