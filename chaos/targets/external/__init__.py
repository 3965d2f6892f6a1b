"""The external target: a service that runs already and is somebody else's, behind its URL."""
