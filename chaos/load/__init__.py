"""The load of a run: from an experiment's words to a child process, and how much of it the cluster carries."""
