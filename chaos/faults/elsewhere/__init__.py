"""Kinds that Chaos Mesh has and no target of ours can run: read and checked as its API server does, and no more."""
