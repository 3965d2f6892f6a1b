"""Prometheus series of an LLM inference server, declared once as data; any Python server can mount them."""
