"""Tools around model folders: none of this is on the way from a request to its answer."""
