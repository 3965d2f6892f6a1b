"""Faults of an engine, caused on purpose: a file for each, `kinds.py` the one list, and a door that needs a key.

Nothing of this is imported, and no route exists, unless a key was given when the server started (`DS_FAULTS_KEY`). A
fault puts itself around the one function that it falsifies (`layers`), so that no flag is asked for in a step or in a
request of a server that has none.
"""
