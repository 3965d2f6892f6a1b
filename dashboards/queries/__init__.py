"""Every query, written once as a named function, over signals that any engine may tell."""
