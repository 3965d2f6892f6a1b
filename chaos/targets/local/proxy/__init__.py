"""The network between replicas and their callers: bytes passed on, and what faults of the network do to them."""
