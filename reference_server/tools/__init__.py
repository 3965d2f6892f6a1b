"""Commands beside serving, `python -m reference_server VERB`: none is on the way from a request to its answer."""
