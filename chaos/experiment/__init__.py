"""One experiment: what its file may hold, and its file, manifests and assertions understood as a whole."""
